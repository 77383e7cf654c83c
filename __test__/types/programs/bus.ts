// What rust-cluster/bus declares.

import { BroadcastChannel, leader, locks, store } from 'rust-cluster/bus';
import { createAdapter } from 'rust-cluster/bus/socket.io';

const channel = new BroadcastChannel('x');
channel.onmessage = ({ data, from }) => console.log(data, from === 'primary' ? from : from.toFixed());
channel.ongap = ({ missed }) => console.log(missed + 1);
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
