'use strict';

// Each of the two processes tells which of the package's threads it has, and which of SIGHUP, SIGINT and SIGTERM
// each of them takes.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');
const { read } = require('../../support/proc');

const SIGNALS = { SIGHUP: 1n, SIGINT: 2n, SIGTERM: 15n };

function threads() {
  return fs.readdirSync('/proc/self/task').flatMap(id => {
    const status = read(`/proc/self/task/${id}/status`);
    // It has ended.
    if (status === undefined) return [];
    const [, name] = status.match(/^Name:\t(.*)$/m);
    const blocked = BigInt(`0x${status.match(/^SigBlk:\t(.*)$/m)[1]}`);
    const taken = Object.keys(SIGNALS).filter(signal => !((blocked >> (SIGNALS[signal] - 1n)) & 1n));
    return name.startsWith('cluster-') ? [`${name} takes ${taken.join(' ') || 'none'}`] : [];
  });
}

/** Tells of so many: a new thread gives itself its name. */
function tell(who, count, done) {
  const lines = threads();
  if (lines.length < count) return setImmediate(tell, who, count, done);
  for (const line of lines) console.log(`${who}: ${line}`);
  done();
}

if (cluster.isPrimary) {
  const worker = cluster.fork();
  worker.on('listening', () => {
    for (let n = 0; n < 2; n++) worker.send(n);
  });
  worker.on('message', what => {
    if (what === 'told') tell('primary', 2, () => cluster.disconnect());
  });
} else {
  net.createServer().listen(0, '127.0.0.1');
  process.once('message', () => {
    for (let n = 0; n < 2; n++) process.send(n);
    tell('worker', 1, () => process.send('told'));
  });
}
