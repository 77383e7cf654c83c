'use strict';

// A cache that is not kept once a worker, but once: what belongs to a customer is always asked of the same worker. So all
// workers together cache as much as their memory holds, and each thing is made once.
//
//   npm install rust-cluster
//   node examples/cache.js                   or, on another port:  PORT=8001 node examples/cache.js
//   curl -H 'X-Customer: 7' http://127.0.0.1:8000/      twice: it is made once
//
// Where the owner is busy another worker answers, and makes it a second time (`owner: 'prefer'`, the default). See
// docs/sticky.md.

const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({
    dispatch: {
      policy: 'sticky',
      sticky: { by: { header: 'X-Customer' }, owner: process.env.OWNER ?? 'prefer' },
    },
  });
  for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const cache = new Map();
  http
    .createServer(({ headers }, response) => {
      const customer = headers['x-customer'] ?? 'nobody';
      const known = cache.get(customer);
      const page = known ?? `Made for ${customer} by worker ${cluster.worker.id}\n`;
      cache.set(customer, page);
      response.setHeader('X-Cache', known ? 'hit' : 'miss');
      response.end(page);
    })
    .listen(process.env.PORT ?? 8000, '127.0.0.1');
}
