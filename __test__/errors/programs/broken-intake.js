'use strict';

// A worker closes the socket on which it is given connections, and opens something else in its place.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');
const { intake } = require('../../support/descriptors');

if (cluster.isPrimary) {
  const connect = port => net.connect(port, '127.0.0.1').on('error', () => {});
  cluster.fork().on('message', connect);
  cluster.on('exit', () => process.exit());
} else {
  process.on('uncaughtException', ({ code, message }) => {
    console.log(`${code}\n${message}`);
    process.exit();
  });
  const server = net.createServer(() => {
    fs.closeSync(intake());
    fs.openSync('/dev/null');
    process.send(server.address().port);
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
}
