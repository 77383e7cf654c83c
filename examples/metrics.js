'use strict';

// Metrics of all workers as one (prom-client): the primary asks every worker, adds up what they say, and
// serves it on a port of its own.
//
//   npm install prom-client rust-cluster
//   node examples/metrics.js                 or, on other ports:  PORT=8001 METRICS_PORT=9101 node …
//   curl http://127.0.0.1:8000/              a few times
//   curl http://127.0.0.1:9100/metrics       app_requests_total counts the requests of all workers

const http = require('node:http');
const { availableParallelism } = require('node:os');
// Before what requires Node's cluster: both are then the same object.
const cluster = require('rust-cluster');
const { AggregatorRegistry, Counter } = require('prom-client');

// In the workers too: it is what answers the primary.
const registry = new AggregatorRegistry();

if (cluster.isPrimary) {
  const server = http.createServer(async (_request, response) => {
    try {
      const metrics = await registry.clusterMetrics();
      response.setHeader('Content-Type', registry.contentType).end(metrics);
    } catch (error) {
      // A worker gave no answer for 5 s.
      response.writeHead(503).end(error.message);
    }
  });
  server.listen(process.env.METRICS_PORT ?? 9100, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}/metrics`);
  });
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const requests = new Counter({ name: 'app_requests_total', help: 'Requests that were answered' });
  const server = http.createServer((_request, response) => {
    requests.inc();
    response.end(`Hello from worker ${cluster.worker.id}\n`);
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
