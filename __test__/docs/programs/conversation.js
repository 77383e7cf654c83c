'use strict';

const http = require('node:http');
const numCPUs = require('node:os').cpus().length;
const cluster = require('rust-cluster');

if (cluster.isMaster) {
  console.log('{master} start master...');

  for (let i = 0; i < numCPUs; i++) {
    const worker = cluster.fork();
    worker.send(`{master} hi worker ${worker.id}`);
  }

  cluster.on('fork', worker => console.log(`{master} fork: worker ${worker.id}`));
  cluster.on('online', worker => console.log(`{master} online: worker${worker.id}`));
  cluster.on('listening', worker => console.log(`{master} listening: worker${worker.id}`));
  cluster.on('disconnect', worker => console.log(`{master} disconnect: worker${worker.id}`));
  cluster.on('exit', worker => console.log(`{master} exit worker ${worker.id} died`));

  for (const worker of Object.values(cluster.workers)) {
    let answers = 0;
    worker.on('message', message => {
      console.log(`{master} message ${message}`);
      if (++answers === 1) worker.send(`{master} send message to worker${worker.id}`);
      else worker.disconnect();
    });
  }
} else if (cluster.isWorker) {
  console.log(`{worker} start worker ...${cluster.worker.id}`);

  process.on('message', message => {
    console.log(`{worker} ${message}`);
    process.send(`{worker} worker${cluster.worker.id} received!`);
  });

  // As in the document, a server that listens nowhere.
  http.createServer();
}
