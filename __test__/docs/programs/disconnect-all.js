'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const workers = [cluster.fork(), cluster.fork(), cluster.fork()];
  let online = 0;
  cluster.on('online', () => {
    if (++online < workers.length) return;
    cluster.disconnect(() => {
      console.log('called back with %d still connected', workers.filter(w => w.isConnected()).length);
    });
  });
} else {
  process.on('disconnect', () => {
    console.log('worker', cluster.worker.id, 'disconnected');
  });
}
