'use strict';

// A cluster with telemetry, and with the aggregator of prom-client beside it.

const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');

const { AggregatorRegistry, Counter, Gauge, Histogram } = require('prom-client');
const answer = require('./answer');
const cluster = require('./cluster');

/** Series of each worker's own, as a small application has them. */
const FEW = 30;

/** A histogram of prom-client's is so many series. */
const OF_HISTOGRAM = 14;

const aggregator = new AggregatorRegistry();

if (cluster.isPrimary) answer({ start, spin });
else serve();

async function start({ workers, series = FEW }) {
  cluster.setupPrimary({ telemetry: { port: 0 } });
  const listening = Array.from({ length: workers }, () =>
    once(cluster.fork({ SERIES: series }), 'listening'),
  );
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
  const count = countAll(Number(process.env.SERIES));
  // What is written is another text each time.
  setInterval(count, 1000).unref();
  count();
  http.createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
}

/** So many series, or a few more: half of them counters, most others of histograms, a tenth gauges. */
function countAll(series) {
  const labelNames = ['path'];
  const requests = new Counter({ name: 'app_requests_total', help: 'Requests', labelNames });
  const times = new Histogram({ name: 'app_request_seconds', help: 'Time', labelNames });
  const sizes = new Gauge({ name: 'app_queue_length', help: 'What waits', labelNames });
  return () => {
    for (let number = 0; number < series / 2; number++) requests.inc({ path: `/${number}` });
    for (let number = 0; number < (0.4 * series) / OF_HISTOGRAM; number++)
      times.observe({ path: `/${number}` }, Math.random());
    for (let number = 0; number < series / 10; number++) sizes.set({ path: `/${number}` }, Math.random());
  };
}
