'use strict';

// Socket.IO on workers, with the adapter over the bus; on Node's cluster, the control, with @socket.io/cluster-adapter. A client
// has its worker do something: `do`, and what is called on the server, one call on what the last one has returned.

const { once } = require('node:events');
const http = require('node:http');
const cluster = require('rust-cluster');
const { Server } = require('socket.io');

const { CLOSE, CLUSTER, STICKY, WORKERS } = process.env;
const adapter =
  CLUSTER === 'node' ? require('@socket.io/cluster-adapter') : require('../../../bus/socket.io');

if (cluster.isPrimary) {
  adapter.setupPrimary?.();
  cluster.setupPrimary({
    serialization: 'advanced',
    ...(STICKY && { dispatch: { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } } }),
  });
  for (let count = Number(WORKERS); count > 0; count--) cluster.fork();
  cluster.on('message', (_worker, message) => message === 'reload' && reload());
} else {
  serve();
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
  const { id } = cluster.worker;
  const server = http.createServer();
  const io = new Server(server);
  if (STICKY) io.engine.generateId = require('../../../sticky').generateId;
  io.adapter(adapter.createAdapter());
  for (const space of [io, io.of('/other')])
    space.on('connection', socket => {
      socket.data.home = id;
      socket.emit('welcome', id);
      socket.on('do', async (calls, answer) => answer(await attempt(io, calls)));
      socket.on('join', (rooms, answer) => answer(socket.join(rooms)));
      socket.on('reload', () => process.send('reload'));
      socket.on('rooms', answer => answer([...socket.rooms].filter(room => room !== socket.id)));
      // Before it is said how many clients are to acknowledge it.
      socket.onAnyOutgoing((event, ...args) => event === 'die' && args[0] === id && die());
    });
  io.on('hello', (...args) => io.local.emit('hello to servers', ...args.map(shown)));
  io.on('who', answer => answer(id));
  // The first thing that it does.
  if (CLUSTER !== 'node')
    io.serverSideEmitWithAck('who').then(ids => console.log(`${id} has found ${ids.sort()}`));
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
