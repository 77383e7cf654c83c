'use strict';

// Two workers, one for each way of starting, that serve. Once each has, both are ended: one by a signal, one by a
// message.

const cluster = require('rust-cluster');
const dgram = require('node:dgram');
const http = require('node:http');

if (cluster.isPrimary) {
  const signalled = cluster.fork();
  // posix_spawn has no words for it.
  cluster.setupPrimary({ cwd: '/' });
  const asked = cluster.fork();
  const served = new Set();
  cluster.on('message', worker => {
    if (served.add(worker).size < 2) return;
    signalled.kill();
    asked.send({ code: 7 });
  });
  signalled.on('exit', () => console.log(`signal to one that has ended: ${signalled.process.kill()}`));
} else {
  dgram.createSocket('udp4').bind(0, '127.0.0.1');
  http
    .createServer((_request, response) => response.end(`${process.pid}`, () => process.send('served')))
    .listen(0, '127.0.0.1');
  process.on('message', ({ code }) => process.exit(code));
}
