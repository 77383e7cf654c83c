'use strict';

// Threads of workers: before the release is removed, after that, and in a worker that was forked after that.

const cluster = require(process.env.LOAD);
const fs = require('node:fs');
const path = require('node:path');
const { SHARE_ENV, Worker } = require('node:worker_threads');

const { RELEASE } = process.env;

async function primary() {
  // What the worker runs stays. Its working directory, too.
  const exec = path.join(RELEASE, 'kept.js');
  fs.copyFileSync(__filename, exec);
  cluster.setupPrimary({ exec, cwd: '/' });
  const first = cluster.fork();
  const before = await told(first);
  for (const name of ['node_modules', 'threads.js']) fs.rmSync(path.join(RELEASE, name), { recursive: true });
  first.send('again');
  const after = await told(first);
  const later = await told(cluster.fork({ LOAD: 'node:cluster' }));
  console.log(JSON.stringify({ before, after, later }));
  cluster.disconnect();
}

const told = worker => new Promise(resolve => worker.once('message', resolve));

async function worker() {
  const warnings = [];
  process.on('warning', ({ code }) => warnings.push(code));
  const inherits = await start({});
  const shares = await start({ env: SHARE_ENV });
  const own = await start({ env: { ...process.env } });
  process.send({ worker: cluster.worker.id, inherits, shares, own, warnings });
  process.once('message', worker);
}

/** @returns {Promise<string>} what becomes of a thread */
function start(options) {
  const source = 'require("node:worker_threads").parentPort.postMessage("started")';
  return new Promise(resolve => {
    let said;
    new Worker(source, { eval: true, ...options })
      .once('message', message => {
        said = message;
      })
      .once('error', ({ code }) => {
        said = code;
      })
      .once('exit', () => resolve(said));
  });
}

if (cluster.isPrimary) primary();
else worker();
