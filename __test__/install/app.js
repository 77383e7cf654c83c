'use strict';

// The server of a project that has the package installed.

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  console.log(`addon ${Object.keys(require.cache).find(file => file.endsWith('.node'))}`);
  cluster.fork();
  cluster.fork();
} else {
  const server = http.createServer((_request, response) => response.end(`worker ${cluster.worker.id}\n`));
  server.listen(0, '127.0.0.1');
}
