'use strict';

// HTTP over a Unix socket, for a proxy on the same machine. The file is removed with the last worker.
//
//   node examples/unix-socket.js             or, elsewhere:  SOCKET=/run/app.sock node …
//   curl --unix-socket /tmp/app.sock http://app/      a few times: the workers take turns

const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => cluster.disconnect());
} else {
  const server = http.createServer((_request, response) => {
    response.end(`Hello from worker ${cluster.worker.id}\n`);
  });
  // writableAll: every user may connect, whoever started the cluster.
  server.listen({ path: process.env.SOCKET ?? '/tmp/app.sock', writableAll: true });
  // A terminal and systemd tell all processes: when to stop, the primary says.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
}
