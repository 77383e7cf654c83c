'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.fork().on('disconnect', () => {
    console.log(1111, Object.keys(cluster.workers));
  });
  cluster.on('exit', () => {
    console.log(2222, Object.keys(cluster.workers));
  });
}
