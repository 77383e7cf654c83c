'use strict';

// Workers of which each takes as many connections as its part of MOST says ('-': any number); it says who it is and
// echoes. The lines on stdout tell when a worker looks whether it has room (with the time in milliseconds), that it has
// none, when a connection of it has closed, and how it ended.

const cluster = require('rust-cluster');
const net = require('node:net');

const MOST = process.env.MOST.split(',');

if (cluster.isPrimary) {
  for (const most of MOST) cluster.fork({ MOST: most });
} else {
  const tell = what => console.log(`${what} ${cluster.worker.id}`);
  const server = net.createServer(socket => {
    socket.on('error', () => {}).on('close', () => tell('closed'));
    socket.write(`${cluster.worker.id}`);
    socket.pipe(socket);
  });
  if (MOST[0] !== '-') {
    server.maxConnections = Number(MOST[0]);
    let connections = 0;
    Object.defineProperty(server, '_connections', {
      get() {
        tell(`at ${performance.timeOrigin + performance.now()} asked`);
        if (connections >= server.maxConnections) tell('full');
        return connections;
      },
      set(number) {
        connections = number;
      },
    });
  }
  server.listen(0, '127.0.0.1');
  process.on('exit', code => tell(`exit ${code} of`));
}
