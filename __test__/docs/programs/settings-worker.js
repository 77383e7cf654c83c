'use strict';

const path = require('node:path');
const cluster = require('rust-cluster');

console.log('worker isMaster %s isWorker %s', cluster.isMaster, cluster.isWorker);
console.log('worker fork %s setupMaster %s', typeof cluster.fork, typeof cluster.setupMaster);
console.log('worker %j', {
  exec: path.basename(process.argv[1]),
  args: process.argv.slice(2),
  execArgv: process.execArgv,
  colour: process.env.COLOUR,
});
cluster.worker.disconnect();
