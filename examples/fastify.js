'use strict';

// Fastify on all CPUs. The app is what it would be without a cluster.
//
//   npm install fastify rust-cluster
//   node examples/fastify.js                 or, on another port:  PORT=8001 node examples/fastify.js
//   curl http://127.0.0.1:8000/              a few times: the workers take turns

const { availableParallelism } = require('node:os');
const createApp = require('fastify');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const app = createApp();
  app.get('/', () => `Hello from worker ${cluster.worker.id}\n`);
  app.post('/echo', ({ body }) => ({ worker: cluster.worker.id, body }));
  app.listen({ port: process.env.PORT ?? 8000, host: '127.0.0.1' });
}
