'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.on('message', message => {
    console.log(1111, message);
  });
} else {
  http
    .createServer((_req, res) => {
      res.writeHead(200);
      res.end('你好世界\n');
    })
    .listen(process.env.PORT || 8000);
  process.send({ test: 1 });
  console.log(`工作进程 ${process.pid} 已启动`);
}
