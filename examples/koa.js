'use strict';

// Koa on all CPUs. The app is what it would be without a cluster.
//
//   npm install koa rust-cluster
//   node examples/koa.js                     or, on another port:  PORT=8001 node examples/koa.js
//   curl http://127.0.0.1:8000/              a few times: the workers take turns

const { availableParallelism } = require('node:os');
const Koa = require('koa');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const app = new Koa();
  app.use(context => {
    context.body = `Hello from worker ${cluster.worker.id}\n`;
  });
  app.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
