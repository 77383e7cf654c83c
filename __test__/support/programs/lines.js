'use strict';

// Three workers write more lines to both streams than a pipe has room for.

const cluster = require('rust-cluster');

if (cluster.isPrimary) for (let i = 0; i < 3; i++) cluster.fork();
else {
  const { id } = cluster.worker;
  for (let place = 0; place < 500; place++) {
    for (const stream of [process.stdout, process.stderr])
      stream.write(`${JSON.stringify([`line ${id}`, { place, text: 'x'.repeat(2000) }])}\n`);
  }
  cluster.worker.disconnect();
}
