'use strict';

// A worker starts a thread after the package has been removed.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { copyPackage } = require('../../support/copy');

function primary() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  const cluster = require(copyPackage(folder));
  cluster.fork().on('message', message => {
    if (message === 'up') {
      fs.rmSync(folder, { recursive: true });
      cluster.workers[1].send('go');
    } else {
      console.log(message);
      cluster.disconnect();
    }
  });
}

function worker() {
  process.on('warning', ({ code, message }) => process.send(`${code}\n${message}`));
  process.send('up');
  process.once('message', () => {
    const { Worker } = require('node:worker_threads');
    new Worker('', { eval: true }).on('error', () => {});
  });
}

if (require('node:cluster').isWorker) worker();
else primary();
