'use strict';

const cluster = require('rust-cluster');

function watch(worker) {
  const log = moment =>
    console.log(moment, worker.id, worker.isConnected(), worker.isDead(), worker.exitedAfterDisconnect);
  worker.on('disconnect', () => log('disconnect'));
  worker.on('exit', () => log('exit'));
  return log;
}

if (cluster.isMaster) {
  const first = cluster.fork();
  const second = cluster.fork();
  const logFirst = watch(first);
  const logSecond = watch(second);

  first.on('online', () => {
    logFirst('before');
    first.disconnect();
    logFirst('after');
  });
  second.on('online', () => {
    logSecond('before');
    second.kill();
    logSecond('after');
  });
}
