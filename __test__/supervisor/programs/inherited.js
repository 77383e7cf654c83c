'use strict';

// The first process takes over the sockets that it was given; its worker listens where it is told to, and says on what
// it does. A line on stdin has the worker replaced.

const cluster = require('../../../index');
const { inheritSockets, unusedSockets } = require('../../../lib/supervisor/systemd');

if (cluster.isPrimary) {
  const sockets = inheritSockets();
  console.log(JSON.stringify({ pid: process.pid, sockets }));
  const fork = () => {
    cluster.fork();
  };
  cluster.on('listening', () => console.log(JSON.stringify({ unused: unusedSockets().map(({ fd }) => fd) })));
  cluster.on('exit', () => console.log(JSON.stringify({ unused: unusedSockets().map(({ fd }) => fd) })));
  process.stdin.on('data', data => (`${data}`.includes('fork') ? fork() : cluster.disconnect()));
  process.stdin.on('end', () => process.exit());
  fork();
} else {
  const addresses = JSON.parse(process.env.ADDRESSES);
  for (const address of addresses) {
    const server = require('node:http').createServer((_, response) => response.end(`${process.pid}`));
    server.on('error', ({ code }) => console.log(JSON.stringify({ refused: code })));
    server.listen(address);
  }
}
