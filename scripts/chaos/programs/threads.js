'use strict';

// The addon in threads that are terminated at random moments, COUNT times, with workers of their own.

const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { Worker, isMainThread, workerData } = require('node:worker_threads');

const { random } = require('../random');

async function main() {
  const { below } = random(Number(process.env.SEED));
  for (let i = 0; i < Number(process.env.COUNT); i++) {
    const thread = new Worker(__filename, { workerData: { fork: below(8) === 0 } });
    if (below(4)) await once(thread, 'online');
    await sleep(below(60));
    await thread.terminate();
  }
  process.stdout.write('done\n');
}

function inThread() {
  const cluster = require(process.env.CLUSTER === 'node' ? 'node:cluster' : 'rust-cluster');
  cluster.setupPrimary({ exec: require.resolve('./threads-worker') });
  if (workerData.fork) cluster.fork();
  setInterval(() => {}, 1000);
}

if (isMainThread) main();
else inThread();
