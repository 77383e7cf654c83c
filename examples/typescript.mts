// TypeScript: the messages between primary and workers have types. Node 22.18 and later run this file as it
// is, others what `tsc` makes of it.
//
//   npm install rust-cluster && npm install --save-dev typescript @types/node
//   node examples/typescript.mts             or, on another port:  PORT=8001 node examples/typescript.mts
//   curl http://127.0.0.1:8000/              a few times: the workers take turns

import http from 'node:http';
import { availableParallelism } from 'node:os';
import cluster, { type Worker } from 'rust-cluster';

/** What a worker tells the primary. */
type Report = { kind: 'request'; url: string } | { kind: 'warning'; text: string };

function told(worker: Worker, report: Report): void {
  switch (report.kind) {
    case 'request':
      console.log(`worker ${worker.id} answers ${report.url}`);
      break;
    case 'warning':
      console.error(`worker ${worker.id} warns: ${report.text}`);
  }
}

function tell(report: Report): void {
  process.send?.(report);
}

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
  cluster.on('message', told);
} else {
  const id = cluster.worker?.id;
  const server = http.createServer(({ url = '' }, response) => {
    tell({ kind: 'request', url });
    response.end(`Hello from worker ${id}\n`);
  });
  server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1');
}
