'use strict';

const { ChildProcess } = require('node:child_process');
const cluster = require('rust-cluster');

function describeWorker(worker) {
  return {
    id: worker.id,
    pid: worker.process.pid,
    send: typeof worker.send,
    kill: typeof worker.kill,
    destroy: typeof worker.destroy,
    disconnect: typeof worker.disconnect,
  };
}

if (cluster.isMaster) {
  const worker = cluster.fork();
  console.log('primary %j', {
    isMaster: cluster.isMaster,
    isWorker: cluster.isWorker,
    settings: typeof cluster.settings,
    setupMaster: typeof cluster.setupMaster,
    fork: typeof cluster.fork,
    disconnect: typeof cluster.disconnect,
    worker: typeof cluster.worker,
    workers: Object.keys(cluster.workers),
    isChildProcess: worker.process instanceof ChildProcess,
  });
  console.log('worker in the primary %j', describeWorker(worker));
  worker.on('message', description => {
    console.log('worker in the worker %j', description);
    worker.disconnect();
  });
} else {
  process.send({
    ...describeWorker(cluster.worker),
    isMaster: cluster.isMaster,
    isWorker: cluster.isWorker,
    fork: typeof cluster.fork,
    workers: typeof cluster.workers,
  });
}
