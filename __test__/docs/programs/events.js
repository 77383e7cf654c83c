'use strict';

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.on('setup', settings => console.log('setup', settings === cluster.settings));
  cluster.on('fork', worker => console.log('fork', worker.id));
  cluster.on('online', worker => console.log('online', worker.id));
  cluster.on('listening', (worker, { port }) => {
    console.log('listening', worker.id, port);
    worker.send('leave');
  });
  cluster.on('disconnect', worker => console.log('disconnect', worker.id));
  cluster.on('exit', (worker, code, signal) => console.log('exit', worker.id, code, signal));

  const worker = cluster.fork();
  // 'message' is the event that is listened for on the worker itself.
  worker.on('message', message => console.log('message', message));
} else {
  process.on('message', () => process.exit(3));
  process.send('hello');
  http.createServer().listen(process.env.PORT || 8000);
}
