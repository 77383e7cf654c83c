'use strict';

// What a worker that no supervisor has started has of one.

const { channel } = require('node:diagnostics_channel');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.fork();
} else {
  const names = ['SIGTERM', 'SIGINT', 'uncaughtExceptionMonitor'];
  const told = {
    listeners: Object.fromEntries(names.map(name => [name, process.listenerCount(name)])),
    subscribers: channel('http.server.request.start').hasSubscribers,
    variables: Object.keys(process.env).filter(name => name.startsWith('RUST_CLUSTER_')),
  };
  console.log(`told ${JSON.stringify(told)}`);
  cluster.worker.disconnect();
}
