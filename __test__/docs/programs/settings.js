'use strict';

const path = require('node:path');
const cluster = require('rust-cluster');

console.log('isMaster %s isWorker %s', cluster.isMaster, cluster.isWorker);
console.log('settings %j', cluster.settings);

cluster.setupMaster({
  exec: path.join(__dirname, 'settings-worker.js'),
  args: ['--use', 'https'],
  execArgv: ['--no-deprecation'],
});
const { exec, args, execArgv } = cluster.settings;
console.log('settings %j', { exec: path.basename(exec), args, execArgv });

const worker = cluster.fork({ COLOUR: 'green' });
console.log('fork %s', worker instanceof cluster.Worker);
