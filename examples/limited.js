'use strict';

// Workers whose requests take a connection to the database each. A pool has ten; so a worker is given ten requests at once
// at most, and the next client waits for whichever worker is first to have one free, not in the queue of a worker whose
// pool is empty. Who has waited for five seconds is told to come again.
//
//   npm install rust-cluster
//   node examples/limited.js                 or, on another port:  PORT=8001 node examples/limited.js
//   curl http://127.0.0.1:8000/              try `ab -n 1000 -c 100` beside it
//
// Clients that keep their connections alive take no place between their requests. See docs/dispatch.md.

const { setTimeout: sleep } = require('node:timers/promises');
const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

const POOL = Number(process.env.POOL ?? 10);

if (cluster.isPrimary) {
  cluster.setupPrimary({
    dispatch: {
      maxConnections: POOL,
      queueTimeout: Number(process.env.QUEUE_TIMEOUT ?? 5000),
      refuseWith: 503,
    },
  });
  for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--) cluster.fork();
} else {
  // In the place of your database's: `new Pool({ max: POOL })`.
  let inUse = 0;
  const query = async () => {
    inUse++;
    await sleep(Number(process.env.QUERY ?? 20));
    return `${inUse--} of ${POOL}`;
  };
  http
    .createServer(async (_request, response) => {
      response.end(`Worker ${cluster.worker.id} had ${await query()} connections in use\n`);
    })
    .listen(process.env.PORT ?? 8000, '127.0.0.1');
}
