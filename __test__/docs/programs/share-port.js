'use strict';

const http = require('node:http');
const numCPUs = require('node:os').cpus().length;
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  for (let i = 0; i < numCPUs; i++) {
    cluster.fork();
  }

  cluster.on('exit', worker => {
    console.log(`worker ${worker.process.pid} died`);
  });
} else {
  http
    .createServer((_req, res) => {
      console.log(`worker ${process.pid} answers`);
      res.writeHead(200);
      res.end('hello world\n');
    })
    .listen(process.env.PORT || 8000);
}
