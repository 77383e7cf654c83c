'use strict';

// A worker breaks the protocol in the way that the argument names. The primary prints what it is told of it.

const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.fork().on('error', ({ code, message }) => console.log(`${code}\n${message}`));
} else {
  process.on('disconnect', () => process.exit());
  require('../../../scripts/chaos/programs/hostile')[process.argv[2]]();
}
