'use strict';

// Node's own cluster object, made ours in place: net, http, dgram and every dependency have it already, or will
// get it from require('cluster'). In a worker, lib/cluster/preload.js has done it.

const cluster = require('node:cluster');

const INSTALLED = Symbol.for('rust-cluster.installed');

function install() {
  const errors = require('./lib/errors');
  const { supported, runtime } = require('./lib/native');
  if (!supported) {
    process.emitWarning(errors.unsupported(runtime));
    require('./lib/telemetry/unsupported')(cluster, runtime);
    return;
  }
  if (Object.keys(cluster.workers).length > 0) throw errors.tooLate();
  require('./lib/cluster/primary')(cluster);
  Object.defineProperty(cluster, INSTALLED, { value: true });
  require('node:module').syncBuiltinESMExports();
}

// Perhaps by another copy of this package.
if (!cluster[INSTALLED]) {
  if (process.env.RUST_CLUSTER_WORKER) require('./lib/cluster/preload').becomeWorkerLate();
  // A worker of Node's own cluster stays one.
  else if (cluster.isPrimary) install();
}

module.exports = cluster;
