'use strict';

// A job that runs once in a cluster, and not once a worker: whoever leads runs it. If the leader dies, or is replaced, another
// one leads.
//
//   npm install node-cron rust-cluster
//   npx rust-cluster examples/cron.js        or, each second:  SCHEDULE='* * * * * *' npx rust-cluster examples/cron.js
//
// See docs/bus.md. All workers serve.

const { once } = require('node:events');
const http = require('node:http');
const cluster = require('rust-cluster');
const { leader } = require('rust-cluster/bus');
const cron = require('node-cron');

leader('reports', async signal => {
  const job = cron.schedule(process.env.SCHEDULE ?? '0 3 * * *', sendReports);
  if (!signal.aborted) await once(signal, 'abort');
  // Another one leads when this returns: by then it has stopped.
  await job.destroy();
});

function sendReports() {
  console.log(`reports by process ${process.pid}`);
}

http
  .createServer((_request, response) => response.end(`Hello from slot ${cluster.worker?.slot ?? 0}\n`))
  .listen(process.env.PORT ?? 8000, '127.0.0.1');
