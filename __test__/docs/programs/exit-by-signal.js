'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.on('exit', (code, signal) => {
    // console.log(1111, code, signal) once quoted the signal; today's Node does not.
    console.log('%O %O %O', 1111, code, signal);
  });
}
