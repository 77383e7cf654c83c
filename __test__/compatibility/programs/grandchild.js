'use strict';

// What a process has that was started by a worker: nothing of the cluster.

const fs = require('node:fs');
const { say } = require('../../support/cases');

/** Descriptors besides 0, 1 and 2 that are sockets. */
const sockets = fs.readdirSync('/proc/self/fd').filter(fd => {
  const link = `/proc/self/fd/${fd}`;
  // The descriptor of the folder itself is closed by now.
  return (
    fd > 2 && fs.lstatSync(link, { throwIfNoEntry: false }) && fs.readlinkSync(link).startsWith('socket')
  );
});
const cluster = require('node:cluster');
const found = {
  isWorker: cluster.isWorker,
  isPrimary: cluster.isPrimary,
  worker: typeof cluster.worker,
  fork: typeof cluster.fork,
  sockets: sockets.length,
  variables: Object.keys(process.env).filter(name => /RUST_CLUSTER|NODE_UNIQUE_ID|NODE_CHANNEL/.test(name)),
  execArgv: process.execArgv,
};
if (process.send) process.send(found, () => process.disconnect());
else say('spawn', found);
