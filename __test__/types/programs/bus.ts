// What rust-cluster/bus declares.

import { EventEmitter } from 'node:events';
import { connect } from '@nats-io/transport-node';
import Redis from 'ioredis';
import { connect as connectNats } from 'nats';
import { createClient } from 'redis';
import { type BridgeTransport, BroadcastChannel, bridge, leader, locks, store } from 'rust-cluster/bus';
import { nats } from 'rust-cluster/bus/nats';
import { redis } from 'rust-cluster/bus/redis';
import { createAdapter } from 'rust-cluster/bus/socket.io';

const channel = new BroadcastChannel('x');
channel.onmessage = ({ data, from, traceparent }) => {
  if (traceparent) channel.postMessage(data, { traceparent });
  if (typeof from === 'object') console.log(from.machine.length, from.slot === 'primary');
  else console.log(data, from === 'primary' ? from : from.toFixed());
};
channel.ongap = ({ missed }) => console.log((missed ?? 0) + 1);
channel.answer(async (data, { from, signal }) => [data, from, signal.aborted]);

export async function use(): Promise<void> {
  const one: string = await channel.request<string>(1, { to: 3, signal: AbortSignal.timeout(5) });
  const all = await channel.request<string>(one, { to: 'all' });
  for (const answer of all) console.log(answer.status === 'fulfilled' ? answer.value.length : answer.reason);
  const seven: number = await locks.request(
    'l',
    { mode: 'shared' },
    async ({ name, mode }) => name.length + mode.length,
  );
  await locks.request('l', { ifAvailable: true }, lock => lock?.name);
  const { held } = await locks.query();
  await leader('cron', signal => signal.aborted);
  await store.set('k', seven, { ttl: 5 });
  const { value, ttl } = await store.increment('n', { by: 2 });
  console.log(await store.get<number>('k'), await store.delete('k'), value + ttl, held[0].clientId);
  channel.unref().close();
}

export const adapter: (namespace: object) => unknown = createAdapter({ name: 'chat', heartbeatTimeout: 5 });

/** One of the program's own. */
class Own extends EventEmitter implements BridgeTransport {
  connected = true;
  publish(_subject: string, bytes: Buffer): void {
    this.emit('said', bytes.length);
  }
  async subscribe(_subject: string, heard: (bytes: Uint8Array) => void): Promise<void> {
    heard(new Uint8Array());
  }
  unsubscribe(_subject: string): void {}
  close(): void {}
}

export async function join(): Promise<void> {
  const transports = [
    new Own(),
    nats(await connect()),
    nats(await connectNats()),
    redis(new Redis()),
    redis(createClient()),
  ];
  bridge(new Own());
  for (const transport of transports) {
    const joined = bridge(transport, { prefix: 'shop', machine: 'a', channels: ['a', 'b'] });
    joined.on('gap', ({ channel, machine, missed }) => console.log(channel, machine?.length, missed));
    joined.on('error', ({ code, messages }) => console.log(code, messages + 1));
    joined.once('connected', () => console.log(joined.connected));
    await joined.ready();
    console.log(joined.figures().dropped['ERR_RUST_CLUSTER_BRIDGE_GARBAGE']);
    await joined.close();
  }
}
