'use strict';

// The primary opens descriptors until it has no more, and then a connection comes.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  process.on('warning', ({ code, message }) => {
    console.log(`${code}\n${message}`);
    process.exit();
  });
  cluster.fork().on('message', takeAll);
} else {
  // It connects when the primary has answered: when that has no descriptor left.
  const server = net.createServer().listen(0, '127.0.0.1', () => process.send('listening'));
  process.on('message', () => net.connect(server.address()).on('error', () => {}));
}

/** Takes every descriptor that the process may have. */
function takeAll() {
  try {
    for (;;) fs.openSync('/dev/null');
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  this.send('no descriptor is left');
}
