'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.on('exit', worker => {
    console.log('exit', worker.id);
    cluster.fork();
  });

  cluster.on('disconnect', worker => {
    console.log('disconnect', worker.id);
    cluster.fork();
  });

  cluster.fork();
}
