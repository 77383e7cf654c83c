'use strict';

// The cluster that most attacks are on: WORKERS workers that answer each connection with their number, after
// WORK milliseconds of the processor's time and DELAY milliseconds of waiting, and then say what is said to them; and
// the commands that the attacks need. LISTEN are the addresses to listen on, MOST the maxConnections of the workers'
// servers, by turns (0: no limit). KIND: the class of the servers, see ../web; they answer requests then. With KINDS the primary has descriptors of each kind of its own, with
// TELEMETRY it has telemetry, and says where.

const { spawn } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const web = require('../web');
const { cluster, say, note, obey, spin } = require('./tether');

const {
  WORKERS = '4',
  REFORK,
  DEAF,
  KINDS,
  BUSY,
  WORK = '0',
  DELAY = '0',
  MOST,
  LISTEN,
  KIND,
  TELEMETRY,
} = process.env;

if (cluster.isPrimary) primary();
else worker();

/** Descriptors that were opened to have none left. */
const hoard = [];
let grazing;

/** Opens descriptors until there is none left. */
function starve() {
  try {
    for (;;) hoard.push(fs.openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  say('starved', { pid: process.pid, count: hoard.length });
}

/** Keeps more and more, all but one, again and again. */
function graze() {
  grazing = setInterval(() => {
    try {
      for (;;) hoard.push(fs.openSync('/dev/null'));
    } catch {
      if (hoard.length > 0) fs.closeSync(hoard.pop());
    }
  }, 5);
}

/** Closes some of them. */
function feed({ count = hoard.length }) {
  clearInterval(grazing);
  for (const fd of hoard.splice(0, count)) fs.closeSync(fd);
}

/** Opens and closes a file all the time in another thread, as the thread pool of a file server does. */
function openFiles() {
  const loop = 'for (;;) { os.uptime(); for (let left = Math.random() * 8000; left > 0; left--); }';
  const thread = new Worker(`const os = require('node:os'); ${loop}`, { eval: true });
  thread.once('online', () => say('busy'));
  thread.unref();
}

/** Stays in JavaScript; `idle`: without using the processor. */
function block({ ms, idle }) {
  say('blocked', { pid: process.pid });
  // The word above is written by the loop.
  setImmediate(() => {
    if (idle) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    else spin(ms);
    say('unblocked', { pid: process.pid });
  });
}

function primary() {
  const warnings = [];
  process.on('warning', ({ code, message }) => {
    warnings.push(code ?? message);
    say('warning', { code, message });
  });
  for (const event of ['listening', 'disconnect', 'exit']) {
    cluster.on(event, (worker, ...details) => {
      const [code, signal] = event === 'exit' ? details : [];
      const where = event === 'listening' ? details[0] : {};
      say(event, { id: worker.id, pid: worker.process.pid, ...where, code, signal });
    });
  }
  cluster.on('exit', worker => {
    if (REFORK && !worker.exitedAfterDisconnect) fork();
  });
  if (TELEMETRY) cluster.setupPrimary({ telemetry: { port: 0 } });
  for (let i = 0; i < Number(WORKERS); i++) fork();
  if (TELEMETRY) say('telemetry', { address: require('../../../telemetry').address() });
  if (KINDS) openKinds();

  obey({
    starve,
    feed,
    graze,
    openFiles,
    block,
    fork,
    disconnect({ id, messages = 0 }) {
      const worker = cluster.workers[id];
      for (let number = 0; number < messages; number++) worker.send({ number });
      worker.disconnect();
    },
    disconnectAll({ messages = 0 }) {
      for (const worker of Object.values(cluster.workers)) {
        for (let number = 0; number < messages; number++) worker.send({ number });
      }
      cluster.disconnect(() => say('disconnected'));
    },
    flood({ count, size }) {
      const text = 'x'.repeat(size);
      for (let i = 0; i < count; i++) for (const one of Object.values(cluster.workers)) one.send(text);
      process.exit();
    },
    send({ id, count, size = 1 }) {
      const text = 'x'.repeat(size);
      const worker = cluster.workers[id];
      for (let i = 0; i < count; i++) worker?.send(text);
      say('sent', { id, count });
    },
    async sendHandles({ id, count }) {
      const given = await server();
      // Each in a turn of its own; what cannot be sent is told to the callback.
      for (let i = 0; i < count; i++) {
        cluster.workers[id]?.send({ name: `${i}` }, given, () => {});
        await new Promise(setImmediate);
      }
      say('sent', { id, count });
    },
    async sendNames({ id, names }) {
      const given = await server();
      for (const [index, name] of names.entries()) {
        cluster.workers[id].send({ name }, index === 1 ? given : undefined);
      }
    },
    turn() {
      // What is closed now is closed for the kernel in one of the next turns.
      setImmediate(() => setImmediate(() => setImmediate(say, 'turned')));
    },
  });
}

/** Whether a text is another one than was sent: all are of one letter. */
const isTorn = message => typeof message === 'string' && /[^x]/.test(message);

/** Forks a worker, and hears what it says. */
function fork() {
  const worker = cluster.fork();
  if (!DEAF) worker.on('error', ({ code, message }) => say('error', { id: worker.id, code, message }));
  let messages = 0;
  worker.on('message', (message, given) => {
    // Who gets a handle closes it. A socket is left alone, as by a program that expects none.
    given?.close?.();
    messages++;
    if (isTorn(message)) say('torn', { id: worker.id });
    if (message?.tell) say(message.tell, { ...message, id: worker.id });
  });
  worker.on('exit', () => say('messages', { id: worker.id, count: messages }));
}

/** Has descriptors of every kind that a program has, and uses them on. */
function openKinds() {
  fs.openSync(__filename);
  fs.openSync('/dev/null', 'w');
  fs.openSync(__dirname);
  fs.watch(__dirname);
  dgram.createSocket('udp4').bind(0, '127.0.0.1');
  spawn('cat', { stdio: 'pipe' });
  const echo = net.createServer(socket => socket.pipe(socket).on('error', () => {}));
  echo.listen(path.join(path.dirname(process.env.TETHER), 'echo'));
  const tcp = net
    .createServer(socket => socket.pipe(socket))
    .listen(0, '127.0.0.1', () => {
      const { port } = tcp.address();
      const own = net.connect(port, '127.0.0.1', () => say('kinds', { port }));
      // Both ends of it are the primary's.
      own.on('data', () => say('echoed'));
      obey({ echo: () => own.write('x') });
    });
}

let handle;

/** A server that can be sent. */
function server() {
  handle ??= new Promise((resolve, reject) => {
    const one = net.createServer().on('error', reject);
    one.listen(0, '127.0.0.1', () => resolve(one));
  });
  return handle;
}

/** Answers datagrams. */
function bind(id, address) {
  const socket = dgram.createSocket('udp4');
  socket.on('error', ({ code }) => say('refused', { id, code }));
  socket.on('message', (_data, { port, address: host }) => socket.send(`${id}\n`, port, host));
  socket.bind(address);
}

function worker() {
  const { id } = cluster.worker;
  const most = JSON.parse(MOST);
  const [work, delay] = [Number(WORK), Number(DELAY)];
  const serve = socket => {
    note(`${id} ${socket.remotePort} ${process.hrtime.bigint()}`);
    if (work) spin(work);
    socket.on('error', () => {});
    if (delay) setTimeout(() => socket.write(`${id}\n`), delay);
    else socket.write(`${id}\n`);
    socket.on('data', data => socket.write(data));
  };
  const answer = (_request, response) => setTimeout(() => response.end(`${id}\n`), delay);
  for (const { udp, ...address } of JSON.parse(LISTEN)) {
    if (udp) {
      bind(id, address);
      continue;
    }
    const server = KIND ? web.servers[KIND](answer) : net.createServer(serve);
    const limit = most[id % most.length];
    if (limit) server.maxConnections = limit;
    server.on('error', ({ code }) => say('refused', { id, code }));
    server.listen(address);
  }
  // A program that has something else to do does not end by itself.
  if (BUSY) setInterval(() => {}, 1000);
  let received = 0;
  process.on('message', (message, given) => {
    received++;
    given?.close();
    if (isTorn(message)) say('torn', { id });
    if (message?.name) say('got', { id, name: message.name });
  });
  process.on('exit', () => note(`received ${id} ${received}`));
  obey({
    starve,
    feed,
    graze,
    openFiles,
    block,
    attack: ({ name, bytes }) => require('./hostile')[name](bytes && Buffer.from(bytes, 'base64')),
    listenOn({ path: address }) {
      const server = net.createServer(serve);
      server.on('error', ({ code }) => say('refused', { id, code, path: address }));
      server.listen(address, () => say('bound', { id, path: address }));
    },
    leave({ messages = 0 }) {
      for (let number = 0; number < messages; number++) process.send({ number });
      cluster.worker.disconnect();
    },
    flood({ count, size }) {
      const text = 'x'.repeat(size);
      for (let i = 0; i < count; i++) process.send(text);
      process.exit();
    },
    chat({ count, size = 1 }) {
      const text = 'x'.repeat(size);
      for (let i = 0; i < count; i++) process.send(text);
      process.send({ tell: 'chatted' });
    },
  });
}
