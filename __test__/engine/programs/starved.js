'use strict';

// Processes without a number left for a descriptor that somebody sends them.

const { execFileSync } = require('node:child_process');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { Worker } = require('node:worker_threads');
const { cases, say } = require('../../support/cases');
const { intake, sockets } = require('../../support/descriptors');

/** Takes all descriptors but so many. */
function take(free = 0, taken = []) {
  try {
    for (;;) taken.push(fs.openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  for (const fd of taken.splice(0, free)) fs.closeSync(fd);
  return taken;
}

const free = taken => taken.splice(0).forEach(fd => void fs.closeSync(fd));

/** A thread that opens and closes files all the time, as the thread pool of a file server does. */
async function busyThread() {
  const script =
    "const os = require('node:os'); for (;;) for (let n = os.uptime() && Math.random() * 8000; n > 0; n--);";
  const thread = new Worker(script, { eval: true });
  await once(thread, 'online');
  return thread;
}

/** Has one descriptor free, for which the thread and what arrives compete, until the function that it gives is called. */
async function compete() {
  const thread = await busyThread();
  const taken = [];
  // Who comes and goes leaves one more or less.
  const again = setInterval(() => take(1, taken), 5);
  return async () => {
    clearInterval(again);
    free(taken);
    await thread.terminate();
  };
}

const served = port =>
  new Promise(done => net.connect(port, '127.0.0.1').on('error', done).on('data', done).resume());

/** So many connections, some at a time. */
async function serve(port, count) {
  let left = count;
  const client = async () => {
    while (left-- > 0) if (`${await served(port)}` !== 'served') return say('failed', 'a connection');
  };
  await Promise.all(Array.from({ length: 10 }, client));
}

const HANDLES = 100;

/** Sends a server with a number, again and again, some at a time. */
function sendHandles(target, server) {
  let next = 0;
  const send = () => {
    if (next < HANDLES) target.send({ number: next++ }, server);
    else server.close();
  };
  target.on('message', ({ got }) => got && send());
  for (let i = 0; i < 5; i++) send();
}

/** Whether each came with the server, and in their order. */
function receiveHandles(target) {
  const arrived = [];
  return new Promise(done => {
    target.on('message', ({ number }, server) => {
      if (number === undefined) return;
      arrived.push(server instanceof net.Server && number === arrived.length);
      server?.close();
      target.send({ got: true });
      if (arrived.length === HANDLES) done(arrived.every(Boolean));
    });
  });
}

const listening = server => once(server.listen(0, '127.0.0.1'), 'listening').then(() => server);

cases({
  'connections beside a busy thread': {
    async primary(cluster) {
      const worker = cluster.fork();
      const [port] = await once(worker, 'message');
      worker.send('compete');
      await once(worker, 'message');
      await serve(port, 30);
      worker.send('free');
      await once(worker, 'message');
      await serve(port, 20);
      say('served', 50);
      cluster.disconnect();
    },
    async worker() {
      const server = await listening(net.createServer(socket => socket.end('served')));
      process.send(server.address().port);
      await once(process, 'message');
      const end = await compete();
      process.send('competing');
      await once(process, 'message');
      await end();
      process.send('free');
    },
  },

  'connections under a lowered limit': {
    async primary(cluster) {
      const worker = cluster.fork();
      const limit = most => execFileSync('prlimit', ['--pid', `${worker.process.pid}`, `--nofile=${most}:`]);
      const [port] = await once(worker, 'message');
      for (let round = 0; round < 5; round++) {
        await serve(port, 10);
        limit(10);
        const all = Array.from({ length: 10 }, () => served(port));
        // It has looked at the queue when it has answered twice: each turn of its loop looks at all that is there.
        for (let turn = 0; turn < 2; turn++) {
          worker.send('turn');
          await once(worker, 'message');
        }
        limit(128);
        say('served', (await Promise.all(all)).map(String).join() === Array(10).fill('served').join());
      }
      cluster.disconnect();
    },
    async worker() {
      process.on('message', () => process.send('turned'));
      const server = await listening(net.createServer(socket => socket.end('served')));
      process.send(server.address().port);
    },
  },

  'handles to a worker': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      sendHandles(worker, await listening(net.createServer()));
      worker.on('message', ({ arrived }) => {
        if (arrived === undefined) return;
        say('arrived', arrived);
        cluster.disconnect();
      });
    },
    async worker() {
      const end = await compete();
      process.send('competing');
      const arrived = await receiveHandles(process);
      await end();
      process.send({ arrived });
    },
  },

  'handles to the primary': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      const end = await compete();
      worker.send('competing');
      say('arrived', await receiveHandles(worker));
      await end();
      cluster.disconnect();
    },
    async worker() {
      process.send('online');
      await once(process, 'message');
      // Its own, and not the primary's, which has no descriptor to open one with.
      const server = new net.Server();
      server._listen2('127.0.0.1', 0, 4);
      await once(server, 'listening');
      sendHandles(process, server);
    },
  },

  'a worker that only waits for messages': {
    async primary(cluster) {
      const worker = cluster.fork();
      worker.on('exit', code => say('exit', code));
      await once(worker, 'message');
      const server = await listening(net.createServer());
      worker.send('before');
      worker.send('with a handle', server);
      worker.send('after');
      server.close();
      const [before] = await once(worker, 'message');
      say('arrived', before);
      // All that it has to do now is to wait.
      worker.process.kill('SIGUSR2');
      worker.on('message', message => say('arrived', message));
    },
    worker() {
      const taken = take();
      // It keeps no process alive.
      process.on('SIGUSR2', () => free(taken));
      process.on('message', (message, server) => {
        server?.close();
        process.send(server ? `${message}, which came` : message);
        if (message === 'after') process.disconnect();
      });
      process.send('starved');
    },
  },

  'a socket that all workers share': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      const before = sockets();
      // Enough to open it, and one short of what sends it.
      let taken = take(1);
      worker.send('bind');
      say('first', (await once(worker, 'message'))[0]);
      free(taken);
      say('left open', sockets() - before);
      taken = take(2);
      worker.send('bind');
      say('second', (await once(worker, 'message'))[0]);
      free(taken);
      cluster.disconnect();
    },
    worker() {
      process.on('message', () => {
        const socket = dgram.createSocket('udp4');
        socket.on('error', ({ code, syscall }) => process.send(`${syscall} ${code}`));
        socket.bind(0, '127.0.0.1', () => process.send('listening'));
      });
      process.send('online');
    },
  },

  'an intake that somebody closes': {
    async primary(cluster) {
      const worker = cluster.fork();
      const [port] = await once(worker, 'message');
      worker.on('error', () => {});
      await served(port);
      net.connect(port, '127.0.0.1').on('error', () => {});
      const [code] = await once(worker, 'exit');
      say('exit', code);
      process.exit();
    },
    async worker() {
      process.on('uncaughtExceptionMonitor', ({ code, message, cause }) => {
        say('error', [code, cause.code]);
        say('message', message);
      });
      process.on('uncaughtException', () => process.exit(1));
      const server = net.createServer(socket => {
        const fd = intake();
        fs.closeSync(fd);
        if (fs.openSync('/dev/null') !== fd) throw new Error('another number is free');
        socket.end('served');
      });
      process.send((await listening(server)).address().port);
    },
  },
});
