'use strict';

// A worker reads nothing, and the primary goes on sending. It prints what it is told of it.

const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({ maxQueuedBytes: 128 * 1024 });
  const worker = cluster.fork();
  worker.once('error', ({ code, message }) => {
    console.log(`${code}\n${message}`);
    worker.process.kill('SIGKILL');
  });
  worker.once('message', () => {
    while (worker.isConnected()) worker.send('x'.repeat(10_000));
  });
} else {
  process.send('ready');
  for (;;);
}
