'use strict';

// A primary that talks with its first worker, while the others have nothing to do, or with all of them at once.

const { once } = require('node:events');

const answer = require('./answer');
const cluster = require('./cluster');
const { Receiver, send } = require('./stream');

if (cluster.isPrimary) {
  answer({ start, toPrimary, toWorker, allToPrimary, roundTrips });
} else if (cluster.isWorker) {
  work();
}

async function start({ workers, serialization }) {
  const begin = performance.now();
  cluster.setupPrimary({ serialization });
  const forked = Array.from({ length: workers }, () => cluster.fork());
  await Promise.all(forked.map(worker => once(worker, 'message')));
  const milliseconds = performance.now() - begin;
  return { milliseconds, pids: forked.map(worker => worker.process.pid) };
}

function first() {
  return Object.values(cluster.workers)[0];
}

/** All workers send at once: how many messages that were. */
async function allToPrimary(stream) {
  const begin = performance.now();
  const all = await Promise.all(Object.values(cluster.workers).map(worker => toPrimary(stream, worker)));
  return { milliseconds: performance.now() - begin, count: all.reduce((sum, { count }) => sum + count, 0) };
}

/** A worker sends, the primary counts and checks. */
function toPrimary(stream, worker = first()) {
  const receiver = new Receiver(stream);
  const begin = performance.now();
  worker.send({ order: 'send', stream });
  return new Promise((resolve, reject) => {
    worker.on('message', function listener(message) {
      if (receiver.takes(message)) return;
      worker.off('message', listener);
      const milliseconds = performance.now() - begin;
      if (message.order !== 'sent' || message.count !== receiver.count) {
        reject(
          new Error(`${receiver.count} messages received, then ${JSON.stringify(message).slice(0, 200)}`),
        );
      } else resolve({ milliseconds, count: receiver.count });
    });
  });
}

/** The primary sends, the worker counts and checks. */
async function toWorker(stream) {
  const worker = first();
  worker.send({ order: 'receive', stream });
  const begin = performance.now();
  const count = await send(worker, stream);
  worker.send({ order: 'sent', count });
  const [{ received }] = await once(worker, 'message');
  const milliseconds = performance.now() - begin;
  if (received !== count) throw new Error(`${count} messages sent, ${received} received`);
  return { milliseconds, count };
}

/** One small message there and back, again and again, with nothing else going on. */
async function roundTrips({ milliseconds }) {
  const worker = first();
  const times = [];
  const end = performance.now() + milliseconds;
  for (let n = 0, begin = performance.now(); begin < end; n++) {
    worker.send({ order: 'echo', n });
    const [message] = await once(worker, 'message');
    if (message.echo !== n) throw new Error(`echo ${n} expected, ${JSON.stringify(message)} received`);
    const now = performance.now();
    times.push(now - begin);
    begin = now;
  }
  times.sort((a, b) => a - b);
  return {
    count: times.length,
    median: times[times.length >> 1],
    p99: times[Math.floor(times.length * 0.99)],
  };
}

function work() {
  let receiver = new Receiver({ size: 0 });
  const orders = {
    async send({ stream }) {
      process.send({ order: 'sent', count: await send(process, stream) });
    },
    receive({ stream }) {
      receiver = new Receiver(stream);
    },
    sent() {
      process.send({ received: receiver.count });
    },
    echo({ n }) {
      process.send({ echo: n });
    },
  };
  process.on('message', message => {
    if (!receiver.takes(message)) orders[message.order](message);
  });
  process.send('ready');
}
