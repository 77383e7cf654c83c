// An ES module: the default import is the cluster object, and what primary and workers have in common
// has names of its own.
//
//   node examples/es-module.mjs              or, on another port:  PORT=8001 node examples/es-module.mjs
//   curl http://127.0.0.1:8000/              a few times: the workers take turns

import http from 'node:http';
import { availableParallelism } from 'node:os';
import cluster, { isPrimary } from 'rust-cluster';

if (isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
  cluster.on('listening', ({ id }) => console.log(`worker ${id} listens`));
} else {
  const server = http.createServer((_request, response) =>
    response.end(`Hello from worker ${cluster.worker.id}\n`),
  );
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
