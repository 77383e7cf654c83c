'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.send({ test: 1 });
} else {
  http
    .createServer((_req, res) => {
      console.log(cluster.workers);
      res.writeHead(200);
      res.end('你好世界\n');
    })
    .listen(process.env.PORT || 8000);
  process.on('message', (...args) => {
    console.log(args);
  });
  console.log(`工作进程 ${process.pid} 已启动`);
}
