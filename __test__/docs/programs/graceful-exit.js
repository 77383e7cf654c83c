'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.on('disconnect', worker => {
    console.log('disconnect', worker.process.pid);
    cluster.fork();
  });
  cluster.on('exit', (worker, code) => {
    console.log('exit', worker.process.pid, code);
  });
  cluster.fork();
} else {
  const server = http.createServer((req, res) => {
    if (req.url === '/error') {
      server.close();
      // Without this a worker that loses its channel exits at once, whatever it has open.
      cluster.worker.exitedAfterDisconnect = true;
      process.disconnect();
    }
    req.resume().on('end', () => res.end(`${process.pid}`));
  });
  server.listen(process.env.PORT || 8000);
}
