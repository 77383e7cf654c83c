'use strict';

// A worker that never turns its loop again, and a primary that waits to be killed.

const cluster = require('rust-cluster');
const { writeSync } = require('node:fs');

if (cluster.isPrimary) {
  cluster.setupPrimary({ parentDeathSignal: 'SIGKILL' });
  cluster.fork();
} else {
  writeSync(1, 'stuck\n');
  for (;;);
}
