'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');
const numWorkers = process.env.WORKERS || require('node:os').cpus().length;

if (cluster.isMaster) {
  console.log('[master] start master...');

  for (let i = 0; i < numWorkers; i++) {
    cluster.fork();
  }

  cluster.on('listening', (worker, { address, port }) => {
    const where = `${address}:${port}`;
    console.log(`[master] listening: worker${worker.id},pid:${worker.process.pid}, Address:${where}`);
  });
} else if (cluster.isWorker) {
  console.log(`[worker] start worker ...${cluster.worker.id}`);
  http
    .createServer((_req, res) => {
      console.log(`worker${cluster.worker.id}`);
      res.end(`worker${cluster.worker.id},PID:${process.pid}`);
    })
    .listen(process.env.PORT || 3000);
}
