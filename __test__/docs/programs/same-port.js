'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.fork();
  cluster.fork();
  cluster.fork();
} else {
  http
    .createServer((_req, res) => {
      res.writeHead(200);
      res.end('hello world');
    })
    .listen(0);
  console.log(`工作进程 ${process.pid} 已启动`);
}
