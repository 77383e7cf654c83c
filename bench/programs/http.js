'use strict';

// Primary and workers of an HTTP server: what most clusters run.

const { once } = require('node:events');
const http = require('node:http');

const BODY = require('../body');
const answer = require('./answer');
const cluster = require('./cluster');

if (cluster.isPrimary) {
  answer({ start, counts });
} else if (cluster.isWorker) {
  serve(JSON.parse(process.env.BENCH_LISTEN));
}

/** Forks the workers, and tells how long it took until all of them listen. */
async function start({ workers, listen }) {
  const begin = performance.now();
  const listening = [];
  for (let i = 0; i < workers; i++) {
    listening.push(once(cluster.fork({ BENCH_LISTEN: JSON.stringify(listen) }), 'message'));
  }
  await Promise.all(listening);
  const milliseconds = performance.now() - begin;
  return { milliseconds, pids: Object.values(cluster.workers).map(worker => worker.process.pid) };
}

/** What each worker has served so far. */
function counts() {
  return Promise.all(
    Object.values(cluster.workers).map(async worker => {
      worker.send('counts');
      const [served] = await once(worker, 'message');
      return served;
    }),
  );
}

function serve(listen) {
  const served = { connections: 0, requests: 0 };
  const server = http.createServer((_request, response) => {
    served.requests++;
    response.end(BODY);
  });
  server.on('connection', () => served.connections++);
  process.on('message', () => process.send(served));
  // Not the cluster's 'listening': a worker with a socket of its own (reusePort) does not cause it.
  server.listen(listen, () => process.send('listening'));
}
