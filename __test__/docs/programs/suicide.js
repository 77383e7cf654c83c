'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.on('online', () => {
    console.log('before', worker.suicide);
    worker.disconnect();
    console.log('after', worker.suicide);
  });
  worker.on('exit', () => {
    console.log('exit', worker.suicide);
  });
} else {
  cluster.worker.on('disconnect', () => {
    console.log('in the worker', cluster.worker.suicide);
  });
}
