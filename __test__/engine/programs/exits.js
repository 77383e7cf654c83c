'use strict';

// A process exits behind more messages than a channel holds. WHO: 'workers', two of them; 'primary', which sends to two
// workers and to one that is stopped; 'left', a worker whose primary says when, and is stopped then.

const cluster = require('rust-cluster');

const COUNT = 20_000;
const TEXT = 'x'.repeat(150);

const { WHO } = process.env;

function sendAll(target) {
  for (let number = 0; number < COUNT; number++) target.send({ number, TEXT });
}

function receiveAll(target, who) {
  let received = 0;
  target.on('message', ({ number }) => {
    if (number !== received) console.log(`out of order: ${number} after ${received} messages`);
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
    const [stopped, ...workers] = [cluster.fork(), cluster.fork(), cluster.fork()];
    let online = 0;
    cluster.on('online', () => {
      if (++online < 3) return;
      stopped.process.kill('SIGSTOP');
      for (const worker of [stopped, ...workers]) sendAll(worker);
      process.exit();
    });
  },

  left() {
    if (cluster.isPrimary) return cluster.fork();
    process.on('SIGUSR2', () => {
      sendAll(process);
      process.exit();
    });
    console.log(`worker ${process.pid}`);
  },
};

programs[WHO]();
