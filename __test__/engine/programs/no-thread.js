'use strict';

// At its limit of threads, the primary sends two workers more messages in one turn than are written at once, and they
// it, before their loops never turn again.

const { execFileSync } = require('node:child_process');
const cluster = require('rust-cluster');
const { threadNames } = require('../../support/proc');

/** All of it fits what the channels hold: without a thread, who never turns its loop writes no more than that. */
const COUNT = 100;

/** Limits do not hold root, and count the threads of a user: the number is of nobody else. */
function becomeOrdinary() {
  if (process.getuid() !== 0) return;
  process.setgid(65534);
  process.setuid(100_000 + process.pid);
}

function sendAll(target) {
  for (let number = 0; number < COUNT; number++) target.send(number);
}

/** Calls back with what came, when it is all. */
function receiveAll(target, done) {
  let received = 0;
  target.on('message', number => {
    if (number !== received) console.log(`out of order: ${number} after ${received} messages`);
    if (++received === COUNT) done();
  });
}

const threads = () => threadNames('self').filter(name => name.startsWith('cluster-flush')).length;

if (cluster.isPrimary) {
  becomeOrdinary();
  const workers = [cluster.fork(), cluster.fork()];
  for (const worker of workers) {
    receiveAll(worker, () => {
      console.log(`all of worker ${worker.id}, ${threads()} threads`);
      worker.process.kill('SIGKILL');
    });
  }
  let online = 0;
  cluster.on('online', () => {
    if (++online < workers.length) return;
    for (const pid of [...workers.map(worker => worker.process.pid), process.pid]) {
      execFileSync('prlimit', ['--nproc=1:1', '--pid', `${pid}`]);
    }
    for (const worker of workers) sendAll(worker);
  });
} else {
  receiveAll(process, () => {
    sendAll(process);
    for (;;);
  });
}
