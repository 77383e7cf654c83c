'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.send('hi there');
  worker.on('message', message => {
    console.log(`msg: ${message} from worker#${worker.id}`);
  });
} else if (cluster.isWorker) {
  process.on('message', message => {
    process.send(message);
  });
}
