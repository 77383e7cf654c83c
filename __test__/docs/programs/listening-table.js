'use strict';

const http = require('node:http');
const numCPUs = require('node:os').cpus().length;
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  console.log('master start...');

  for (let i = 0; i < numCPUs; i++) {
    cluster.fork();
  }

  cluster.on('listening', (worker, { address, port }) => {
    console.log(`listening: worker ${worker.process.pid}, Address: ${address}:${port}`);
  });

  cluster.on('exit', worker => {
    console.log(`worker ${worker.process.pid} died`);
  });
} else {
  http
    .createServer((_req, res) => {
      res.writeHead(200);
      res.end('hello world \n');
    })
    .listen(0);
}
