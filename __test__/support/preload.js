'use strict';

// Loaded into every process of a program under test, this stands between the program and the cluster that
// it requires: the control gets Node's own cluster for 'rust-cluster', and what the primary sees happen to
// its workers goes to the test, so that no exit of a worker stays unnoticed.

const Module = require('node:module');

const NAMES = ['rust-cluster', 'cluster', 'node:cluster'];
const PREFIX = '@cluster ';
const load = Module._load;

Module._load = function (request, ...rest) {
  if (!NAMES.includes(request)) return load.call(this, request, ...rest);
  const control = request === 'rust-cluster' && process.env.CLUSTER === 'node';
  const cluster = load.call(this, control ? 'node:cluster' : request, ...rest);
  witness(cluster);
  return cluster;
};

function witness(cluster) {
  if (cluster.listeners('exit').includes(onexit)) return;
  cluster.on('online', worker => report('online', worker));
  cluster.on('listening', (worker, address) => report('listening', worker, { address }));
  cluster.on('exit', onexit);
}

function onexit(worker, code, signal) {
  report('exit', worker, { code, signal });
}

function report(event, worker, details) {
  const line = { event, id: worker.id, pid: worker.process.pid, ...details };
  process.stderr.write(`${PREFIX}${JSON.stringify(line)}\n`);
}

module.exports = { PREFIX };
