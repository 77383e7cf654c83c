'use strict';

// Workers (2, or WORKERS) under the settings in DISPATCH, on PORT. Each answers who it is, who its client is, and how
// much it was sent; `/early` before the body is read; `/close` as its server closes, and no connection; `/unref` as
// nothing keeps it alive any more. It tells of its clients' errors.
// On an upgrade it repeats what is said. One that ends is replaced.

const http = require('node:http');
const net = require('node:net');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: JSON.parse(process.env.DISPATCH) });
  for (let count = Number(process.env.WORKERS ?? 2); count > 0; count--) cluster.fork();
  cluster.on('exit', ({ slot }) => cluster.fork({}, { slot }));
} else {
  const server = http.createServer((request, response) => {
    const { remoteAddress, remotePort } = request.socket;
    const say = length =>
      response.end(
        JSON.stringify({
          slot: cluster.worker.slot,
          pid: process.pid,
          client: `${remoteAddress} ${remotePort}`,
          length,
        }),
      );
    if (request.url.startsWith('/early')) return say(-1);
    // As net's servers close: http's ends connections that are idle.
    if (request.url.startsWith('/close')) net.Server.prototype.close.call(server);
    if (request.url.startsWith('/unref')) {
      // The connection is not ended either.
      server.keepAliveTimeout = 0;
      for (const what of [request.socket, server, process.channel]) what.unref();
    }
    let length = 0;
    request.on('data', data => {
      length += data.length;
    });
    request.on('end', () => say(length));
  });
  server.on('upgrade', (_request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n${cluster.worker.slot}`,
    );
    socket.pipe(socket);
  });
  server.on('clientError', ({ code }, socket) => {
    console.log(`client: ${code}`);
    socket.destroy();
  });
  server.listen(process.env.PORT, '127.0.0.1');
}
