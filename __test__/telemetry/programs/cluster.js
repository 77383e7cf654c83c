'use strict';

// A cluster with telemetry: WORKERS of them, at TELEMETRY. What it is to do besides comes in requests to a worker:
// /spin has the primary spin until FLAG is there, /leave has that worker leave, /quit has the primary end.

const fs = require('node:fs');
const http = require('node:http');
const cluster = require('node:cluster');

if (cluster.isPrimary) {
  const telemetry = require('../../../telemetry');
  const before = telemetry.address();
  cluster.setupPrimary({ telemetry: JSON.parse(process.env.TELEMETRY) });
  // The bus is counted also where it was used before there was telemetry.
  if (process.env.BUS) new (require('../../../bus').BroadcastChannel)('news').unref();
  for (let count = 0; count < Number(process.env.WORKERS); count++) cluster.fork();
  console.log(`telemetry ${JSON.stringify([before, telemetry.address()])}`);
  cluster.on('listening', (worker, { port }) => console.log(`worker ${worker.id} at ${port}`));
  cluster.on('message', (_worker, message) => {
    if (message === 'quit') process.exit();
    if (message !== 'spin') return;
    while (!fs.existsSync(process.env.FLAG));
  });
  // It stays when all workers have gone.
  setInterval(() => {}, 2 ** 30);
} else {
  const server = http.createServer((request, response) => {
    if (request.url === '/spin' || request.url === '/quit') process.send(request.url.slice(1));
    if (request.url === '/leave') cluster.worker.disconnect();
    response.end(`${cluster.worker.id}`);
  });
  server.listen(0, '127.0.0.1');
}
