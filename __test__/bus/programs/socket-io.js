'use strict';

// Socket.IO on workers, with the adapter over the bus; on Node's cluster, the control, with @socket.io/cluster-adapter. A client
// has its worker do something: `do`, and what is called on the server, one call on what the last one has returned.
//
// It is one of several machines if it has a name, MACHINE: joined by a bridge over CLIENT, whose broker is AT. The control, then,
// is @socket.io/redis-adapter.

const { once } = require('node:events');
const http = require('node:http');
const cluster = require('rust-cluster');
const { Server } = require('socket.io');

const { AT, CLIENT, CLOSE, CLUSTER, HEARTBEATS, MACHINE, RECOVERY, STICKY, WORKERS } = process.env;
const isControl = CLUSTER === 'node';
const adapter = isControl ? control() : require('../../../bus/socket.io');

function control() {
  if (!MACHINE) return require('@socket.io/cluster-adapter');
  const Redis = require('ioredis');
  const { createAdapter } = require('@socket.io/redis-adapter');
  const { port } = JSON.parse(AT);
  return { createAdapter: () => createAdapter(new Redis(port), new Redis(port)) };
}

if (cluster.isPrimary) {
  adapter.setupPrimary?.();
  cluster.setupPrimary({
    serialization: 'advanced',
    ...(STICKY && { dispatch: { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } } }),
  });
  if (MACHINE && !isControl) join();
  for (let count = Number(WORKERS); count > 0; count--) cluster.fork();
  cluster.on('message', (_worker, message) => message === 'reload' && reload());
} else {
  serve();
}

async function join() {
  const { transport } = await require('../../support/broker-clients')[CLIENT].connect(JSON.parse(AT));
  const { bridge } = require('../../../bus');
  const joined = bridge(transport, { machine: MACHINE, prefix: 'app', channels: ['socket.io'] });
  joined.on('error', ({ code }) => console.log('error', code));
  joined.on('disconnected', () => console.log('disconnected'));
}

async function reload() {
  for (const old of Object.values(cluster.workers)) {
    await once(cluster.fork(), 'listening');
    old.send('leave');
    await once(old, 'exit');
  }
  console.log('reloaded');
}

function serve() {
  const id = MACHINE ? `${MACHINE}${cluster.worker.id}` : cluster.worker.id;
  const server = http.createServer();
  const io = new Server(server, RECOVERY ? { connectionStateRecovery: {} } : {});
  if (STICKY) io.engine.generateId = require('../../../sticky').generateId;
  io.adapter(adapter.createAdapter(HEARTBEATS ? JSON.parse(HEARTBEATS) : undefined));
  for (const space of [io, io.of('/other')])
    space.on('connection', socket => {
      socket.data.home = id;
      socket.emit('welcome', id);
      socket.on('do', async (calls, answer) => answer(await attempt(io, calls)));
      socket.on('join', (rooms, answer) => answer(socket.join(rooms)));
      socket.on('broadcast', rooms => socket.to(rooms).emit('broadcast'));
      socket.on('handshake', answer => answer(socket.handshake));
      socket.on('handshakes', async answer => answer(await handshakes(io)));
      socket.on('forget', answer => answer(forgetAll(io.of('/').adapter)));
      socket.on('post', (value, answer) => answer(post(value)));
      socket.on('reload', () => process.send('reload'));
      socket.on('rooms', answer => answer([...socket.rooms].filter(room => room !== socket.id)));
      // Before it is said how many clients are to acknowledge it.
      socket.onAnyOutgoing((event, ...args) => event === 'die' && args[0] === id && die());
    });
  io.on('hello', (...args) => io.local.emit('hello to servers', ...args.map(shown)));
  io.on('who', answer => answer(id));
  // The first thing that it does.
  if (!isControl) {
    io.serverSideEmitWithAck('who').then(
      ids => console.log(`${id} has found ${ids.sort()}`),
      ({ message }) => console.log(`${id}: ${message}`),
    );
    const { adapter } = io.of('/');
    adapter.serverCount().then(count => console.log(`${id} counts ${count}`));
  }
  io.on('who but', (silent, answer) => id !== silent && answer(id));
  io.on('die', (who, answer) => (id === who ? die() : answer(id)));
  process.on('message', message => {
    if (message !== 'leave') return;
    // Its clients come again, and find another worker. What its adapter has must not keep it.
    if (CLOSE) io.close();
    cluster.worker.disconnect();
    for (const { conn } of io.sockets.sockets.values()) conn.close();
    io.engine.on('connection', conn => conn.close());
  });
  server.listen(0, '127.0.0.1');
}

async function handshakes(io) {
  const sockets = await io.fetchSockets();
  return Object.fromEntries(sockets.map(({ data, handshake }) => [data.home, handshake]));
}

/** As one that has been away for long. */
function forgetAll(adapter) {
  for (const uid of adapter.nodesMap.keys()) adapter.removeNode(uid);
}

/** What no adapter says, on its channel. */
function post(value) {
  const { BroadcastChannel } = require('../../../bus');
  const channel = new BroadcastChannel('socket.io');
  channel.postMessage(value);
  channel.close();
}

const die = () => process.kill(process.pid, 'SIGKILL');
const shown = value => (value instanceof Map ? ['Map', ...value] : value);

async function attempt(io, calls) {
  try {
    let on = io;
    for (const [name, ...args] of calls) {
      const found = on[name];
      on = typeof found === 'function' ? await found.apply(on, args.map(revive)) : found;
    }
    return { value: plain(on) };
  } catch ({ message, responses }) {
    return { error: message, responses };
  }
}

/** What a client cannot send. */
const kinds = {
  map: () => new Map([[1, 2]]),
  'has toJSON': () =>
    new (class Money {
      #cents = 5;
      toJSON() {
        return { cents: this.#cents };
      }
    })(),
  'with a function': () => ({ a: 1, f() {} }),
  large: () => Buffer.alloc(17 * 1024 * 1024),
};

const revive = arg => (Object.hasOwn(kinds, arg?.kind ?? '') ? kinds[arg.kind]() : arg);

function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  // A socket, here or elsewhere.
  if (value?.handshake)
    return { home: value.data.home, rooms: [...value.rooms].filter(room => room !== value.id) };
  return typeof value === 'object' && !Buffer.isBuffer(value) ? null : value;
}
