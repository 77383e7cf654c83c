'use strict';

// Primary and workers of an HTTP server: what most clusters run.

const { once } = require('node:events');
const http = require('node:http');

const BODY = require('../body');
const answer = require('./answer');
const cluster = require('./cluster');

if (cluster.isPrimary) {
  answer({ start, counts, compute });
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

/** Has the first worker compute from now on, in slices of so many milliseconds; told when it has done some. */
async function compute({ milliseconds }) {
  const [worker] = Object.values(cluster.workers);
  worker.send({ milliseconds });
  await once(worker, 'message');
}

let slices = 0;

function slice(milliseconds) {
  // Of a processor: where others want one too, the same work takes longer.
  const begin = process.cpuUsage();
  for (let used = { user: 0, system: 0 }; used.user + used.system < milliseconds * 1000; )
    used = process.cpuUsage(begin);
  if (++slices === 20) process.send('computes');
  setImmediate(slice, milliseconds);
}

function serve(listen) {
  const served = { connections: 0, requests: 0 };
  const server = http.createServer((_request, response) => {
    served.requests++;
    response.end(BODY);
  });
  server.on('connection', () => served.connections++);
  process.on('message', message => {
    if (message === 'counts') return process.send(served);
    return setImmediate(slice, message.milliseconds);
  });
  // Not the cluster's 'listening': a worker with a socket of its own (reusePort) does not cause it.
  server.listen(listen, () => process.send('listening'));
}
