'use strict';

// A worker listens, sends one message, and tells which of the package's threads it has.

const net = require('node:net');
const cluster = require('rust-cluster');
const { threadNames } = require('../../support/proc');

if (cluster.isPrimary) {
  cluster.fork().on('message', names => {
    console.log(`threads: ${names}`);
    cluster.disconnect();
  });
} else {
  net.createServer().listen(0, '127.0.0.1', () => {
    process.send(threadNames('self').filter(name => name.startsWith('cluster-')));
  });
}
