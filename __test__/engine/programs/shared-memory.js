'use strict';

// Long strings, that lie in shared memory, and what becomes of them. WHO: 'workers', two that exit at once when they have
// sent theirs; 'primary', which sends to two workers, one of which is stopped, more than the memory holds; 'limit', a primary that
// sends until it may not.

const cluster = require('rust-cluster');

const COUNT = Number(process.env.COUNT);

/** Short, long, ASCII and not. */
const lengths = [10, 5000, 20_000, 100_000, 4096, 1024];
const textOf = number =>
  (number % 4 === 3 ? '\u20ac' : String.fromCharCode(97 + (number % 26))).repeat(
    lengths[number % lengths.length],
  );

function sendAll(target) {
  for (let number = 0; number < COUNT; number++)
    target.send({ number, text: textOf(number), more: [textOf(number + 1)] });
}

function receiveAll(target, who) {
  let received = 0;
  target.on('message', ({ number, text, more }) => {
    const isWhole = number === received && text === textOf(number) && more[0] === textOf(number + 1);
    if (!isWhole) console.log(`wrong: ${number} after ${received} messages`);
    if (++received === COUNT) console.log(`all for ${who}`);
  });
}

const programs = {
  workers() {
    if (cluster.isWorker) {
      sendAll(process);
      process.exit();
    }
    for (const worker of [cluster.fork(), cluster.fork()])
      receiveAll(worker, `the primary from ${worker.id}`);
  },

  primary() {
    if (cluster.isWorker) return receiveAll(process, `worker ${cluster.worker.id}`);
    const workers = [cluster.fork(), cluster.fork()];
    let online = 0;
    cluster.on('online', () => {
      if (++online < 2) return;
      workers[0].process.kill('SIGSTOP');
      for (const worker of workers) sendAll(worker);
      console.log(`stopped ${workers[0].process.pid}`);
    });
  },

  limit() {
    if (cluster.isWorker) return;
    cluster.setupPrimary({ maxQueuedBytes: 1_000_000 });
    const worker = cluster.fork();
    worker.on('online', () => {
      worker.process.kill('SIGSTOP');
      let sent = 0;
      worker.on('error', ({ code }) => console.log(`${code} after ${sent} messages`));
      for (; worker.isConnected() && sent < 10_000; sent++) worker.send({ text: 'x'.repeat(10_000) });
    });
  },
};

programs[process.env.WHO]();
