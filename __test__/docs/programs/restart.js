'use strict';

const http = require('node:http');
const os = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  for (let i = 0; i < os.cpus().length; i++) {
    cluster.fork();
  }
  cluster.on('exit', (worker, code, signal) => {
    console.log('worker %d died (%s). restarting...', worker.process.pid, signal || code);
    cluster.fork();
  });
} else {
  http
    .createServer((req, res) => {
      if (req.url === '/fail') process.exit(7);
      res.writeHead(200);
      res.end('Hey guys');
    })
    .listen(process.env.PORT || 8080);
}
