'use strict';

// Who a worker is, where the variable that says so is in its environment already.

const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  // Inherited by hand, and given by hand.
  process.env.RUST_CLUSTER_WORKER = '7:5:-1:json';
  cluster.fork();
  cluster.fork({ RUST_CLUSTER_WORKER: '8:6:-1:json' });
  cluster.on('message', (worker, said) => console.log(`worker ${worker.id} says ${said}`));
} else {
  process.send(`${cluster.worker.id}, ${process.env.RUST_CLUSTER_WORKER}`, () => process.disconnect());
}
