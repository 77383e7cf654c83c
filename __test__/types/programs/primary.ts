// What the primary of a TypeScript program does, from a CommonJS module.

import diagnostics = require('node:diagnostics_channel');

import type { Server } from 'node:net';

import cluster = require('rust-cluster');
import sticky = require('rust-cluster/sticky');
import telemetry = require('rust-cluster/telemetry');

declare const server: Server;
const portOf = (address: telemetry.TelemetryAddress | string | null) =>
  typeof address === 'object' ? address?.port : undefined;

const settings: cluster.ClusterSettings = {
  exec: 'worker.js',
  args: ['--use', 'https'],
  execArgv: ['--inspect'],
  cwd: '/tmp',
  serialization: 'advanced',
  silent: true,
  stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  uid: 1000,
  gid: 1000,
  inspectPort: () => 9300,
  windowsHide: true,
  dispatch: {
    policy: 'sticky',
    sticky: { by: { cookie: 'connect.sid' }, owner: 'strict' },
    proxyProtocol: ['10.0.0.0/8'],
    maxConnections: 10,
    queueTimeout: 5000,
    refuseWith: 503,
    slowStart: 30_000,
    ports: { 8000: 'round-robin', '/run/app.sock': { sticky: { by: 'socket.io' } } },
  },
  telemetry: { port: 0, host: '::1', hosts: ['metrics.example'] },
};
export const port: number | undefined = portOf(telemetry.address());
export const id: string = sticky.generateId();
cluster.schedulingPolicy = cluster.SCHED_RR;
cluster.schedulingPolicy = cluster.SCHED_NONE;
cluster.setupPrimary(settings);
cluster.setupMaster();
export const exec: string | undefined = cluster.settings.exec;

const worker: cluster.Worker = cluster.fork({ PORT: 8000 });
export const sent: boolean = worker.send({ text: 'hi' }, server, { keepOpen: true }, error => error?.message);
export const same: cluster.Worker = worker.disconnect().on('message', (message, handle) => [message, handle]);
worker.once('exit', (code, signal) => [code.toFixed(), signal.length]);
worker.kill('SIGKILL');
worker.destroy();
export const ended: boolean = worker.isDead() && !worker.isConnected() && worker.exitedAfterDisconnect;

cluster
  .on('fork', ({ id, process }) => [id.toFixed(), process.pid])
  .on('online', ({ state }) => state === 'online')
  .on('listening', (_, { address, port, addressType, fd }) => [address, port, addressType === 'udp4', fd])
  .on('message', (from, message, handle) => from.send(message, handle))
  .on('disconnect', ({ suicide }) => suicide === true)
  .on('exit', ({ suicide }, code, signal) => [suicide, code.toFixed(), signal.length])
  .once('setup', ({ args }) => args?.length)
  .on('own event', (...anything) => anything.length);

for (const each of Object.values(cluster.workers ?? {})) each?.send('shutdown');
cluster.disconnect(() => {});

export const own = new cluster.Worker({ id: 1, state: 'none' });
export const isOne: boolean = worker instanceof cluster.Worker;

telemetry.collect({ metrics: async () => '' });
telemetry.collect(() => '');

type Told = telemetry.DiagnosticsMessages;
diagnostics.subscribe('rust-cluster:rescued', message => {
  const { worker, count } = message as Told['rust-cluster:rescued'];
  return (worker.slot ?? 0) + count;
});
diagnostics.subscribe('rust-cluster:bus:deliver', message => {
  const told = message as Told['rust-cluster:bus:deliver'];
  return 'error' in told ? told.error.message : [told.data, told.from === 'primary'];
});
