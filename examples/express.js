'use strict';

// Express on all CPUs. The app is what it would be without a cluster.
//
//   npm install express rust-cluster
//   node examples/express.js                 or, on another port:  PORT=8001 node examples/express.js
//   curl http://127.0.0.1:8000/              a few times: the workers take turns

const { availableParallelism } = require('node:os');
const express = require('express');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const app = express();
  app.use(express.json());
  app.get('/', (_request, response) => response.send(`Hello from worker ${cluster.worker.id}\n`));
  app.post('/echo', ({ body }, response) => response.json({ worker: cluster.worker.id, body }));
  app.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
