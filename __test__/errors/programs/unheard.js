'use strict';

// A worker sends sockets that their clients reset, and the primary looks at no handle. It prints the warnings.

const net = require('node:net');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  process.on('warning', ({ code, message }) => console.log(`${code}\n${message}`));
  cluster.fork().on('message', function () {
    this.send('reset');
  });
} else {
  const sockets = 2;
  const clients = [];
  const server = net.createServer(socket => process.send('a socket', socket));
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
    for (let i = 0; i < sockets; i++) clients.push(net.connect(server.address().port, '127.0.0.1'));
  });
  let arrived = 0;
  process.on('message', () => {
    // That the primary has read both is told by its end.
    if (++arrived < sockets) return;
    for (const client of clients) client.resetAndDestroy();
    process.exit();
  });
}
