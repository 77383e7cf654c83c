'use strict';

// A worker listens, sends one message, and tells which of the package's threads it has.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.fork().on('message', names => {
    console.log(`threads: ${names}`);
    cluster.disconnect();
  });
} else {
  net.createServer().listen(0, '127.0.0.1', () => {
    const threads = fs.readdirSync('/proc/self/task');
    const names = threads.map(id => fs.readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim());
    process.send(names.filter(name => name.startsWith('cluster-')));
  });
}
