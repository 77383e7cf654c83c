'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const workers = [cluster.fork(), cluster.fork(), cluster.fork()];
  let busy = 0;
  cluster.on('message', () => {
    if (++busy < workers.length) return;
    cluster.disconnect(() => {
      console.log('called back with %d still connected', workers.filter(w => w.isConnected()).length);
    });
  });
} else {
  http
    .createServer((req, res) => {
      console.log('worker %d has a request', cluster.worker.id);
      process.send('busy');
      req.resume().on('end', () => res.end());
    })
    .listen(process.env.PORT || 8000);
}
