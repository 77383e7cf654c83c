'use strict';

// The primary sends a message that is too large, and prints what send() throws. The next one arrives.

const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  const worker = cluster.fork();
  try {
    // Two bytes of UTF-8 each.
    worker.send('ü'.repeat(270_000_000));
  } catch ({ code, message }) {
    console.log(`${code}\n${message}`);
  }
  worker.send('leave');
} else {
  process.once('message', () => process.disconnect());
}
