'use strict';

// HTTP/2: connections are spread over the workers; all streams of one connection are one worker's.
//
//   node examples/http2.js                   or, on another port:  PORT=8001 node examples/http2.js
//   curl --http2-prior-knowledge http://127.0.0.1:8000/      a few times: the workers take turns

const http2 = require('node:http2');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  // For browsers, createSecureServer(): see https.js.
  const server = http2.createServer();
  server.on('stream', stream => {
    stream.respond({ ':status': 200, 'content-type': 'text/plain' });
    stream.end(`worker ${cluster.worker.id}, stream ${stream.id}\n`);
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
