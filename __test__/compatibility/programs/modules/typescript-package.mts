// The package imported by a TypeScript program, whose workers are another one, an ES module or CommonJS.

import { createRequire } from 'node:module';
import cluster, { isPrimary, setupPrimary, type Worker } from 'rust-cluster';

createRequire(import.meta.url)('node:cluster');
setupPrimary({ exec: process.env.EXEC });
const worker: Worker = cluster.fork();
worker.on('message', (message: unknown) => {
  console.log(JSON.stringify(['message', [...(message as unknown[]), isPrimary, 'workers' in cluster]]));
  worker.disconnect();
});
