// A worker that is an ES module.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import cluster, { isMaster, isPrimary, isWorker, Worker, worker } from 'rust-cluster';

const same = createRequire(import.meta.url)('node:cluster') === cluster;
const server = createServer().listen(0, '127.0.0.1', () => {
  process.send({
    same,
    is: [isPrimary, isMaster, isWorker],
    worker: [worker === cluster.worker, worker instanceof Worker, worker.id],
    added: process.env.ADDED,
    execArgv: process.execArgv.filter(arg => !arg.includes('control-hooks') && arg !== '--import'),
    port: server.address().port > 0,
  });
});
