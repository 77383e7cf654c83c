'use strict';

// A cluster with telemetry, and with the aggregator of prom-client beside it.

const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');

const { AggregatorRegistry, Counter } = require('prom-client');
const answer = require('./answer');
const cluster = require('./cluster');

/** Series of each worker's own, as an application has them. */
const SERIES = 30;

const aggregator = new AggregatorRegistry();

if (cluster.isPrimary) answer({ start, spin });
else serve();

async function start({ workers }) {
  cluster.setupPrimary({ telemetry: { port: 0 } });
  const listening = Array.from({ length: workers }, () => once(cluster.fork(), 'listening'));
  await Promise.all(listening);
  const server = http.createServer(async (_request, response) => {
    try {
      response.end(await aggregator.clusterMetrics());
    } catch {
      response.writeHead(500).end();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { address } = require(path.join(process.env.BENCH_CLUSTER, 'telemetry'));
  const pids = Object.values(cluster.workers).map(worker => worker.process.pid);
  return { pids, telemetry: address().port, aggregator: server.address().port };
}

/** Stays in JavaScript for so many milliseconds, once this is answered. */
function spin({ milliseconds }) {
  setTimeout(() => {
    for (const end = performance.now() + milliseconds; performance.now() < end; );
  }, 100);
}

function serve() {
  const counter = new Counter({ name: 'app_requests_total', help: 'Requests', labelNames: ['path'] });
  for (let number = 0; number < SERIES; number++) counter.inc({ path: `/${number}` });
  http.createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
}
