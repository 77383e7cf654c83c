'use strict';

// The first code that runs in a worker: `node --require lib/cluster/preload.js ...` (see ./worker_process). It makes the
// process a worker before any user code runs, and leaves no trace of itself.

const INSTALLED = Symbol.for('rust-cluster.installed');

/** The environment variable that tells a process that it is our worker; gone before user code runs. */
const VARIABLE = 'RUST_CLUSTER_WORKER';

/** What stands before NODE_OPTIONS of a worker. */
const OPTION = `--require ${JSON.stringify(__filename)} `;

/** What the primary told this process: its number, and the descriptors of the channel and of the intake. */
function identity() {
  const [id, fd, handoff, serialization] = process.env[VARIABLE].split(':');
  // Not for grandchildren, nor for worker threads, which get a copy of the environment.
  delete process.env[VARIABLE];
  return { id: Number(id), fd: Number(fd), handoff: Number(handoff), serialization };
}

/** Node decides by this variable, when cluster is first loaded, which members the object has. */
function requireAsWorker() {
  process.env.NODE_UNIQUE_ID = '1';
  try {
    return require('node:cluster');
  } finally {
    delete process.env.NODE_UNIQUE_ID;
  }
}

/** As ../index.js in a primary. No ES module has taken names from the object yet. */
function becomeWorker({ id, fd, handoff, serialization }) {
  const cluster = requireAsWorker();
  const native = require('../native').load();
  native.closeOnExec(fd);
  if (handoff >= 0) native.closeOnExec(handoff);
  const { setupChannel } = require('../channel/setup_channel');
  const { channel, control } = setupChannel(process, fd, serialization);
  // The channel keeps the process alive while somebody listens to it.
  channel.native.unref();
  const counted = name => name === 'message' || name === 'disconnect';
  process.on('newListener', name => counted(name) && control.refCounted());
  process.on('removeListener', name => counted(name) && control.unrefCounted());
  require('./child')(cluster, { id, channel, handoff });
  Object.defineProperty(cluster, INSTALLED, { value: true });
}

/**
 * Takes out what made Node run this, from the command line and from NODE_OPTIONS.
 * @returns {boolean} whether it was there: a primary loads this file too
 */
function leaveNoTrace() {
  const place = process.execArgv.indexOf(__filename);
  if (place < 0) return false;
  process.execArgv.splice(place - 1, 2);
  const { NODE_OPTIONS } = process.env;
  if (NODE_OPTIONS?.startsWith(OPTION)) process.env.NODE_OPTIONS = NODE_OPTIONS.slice(OPTION.length);
  return true;
}

// Worker threads of a worker are told to run this too, though they are nobody's workers.
if (leaveNoTrace() && process.env[VARIABLE]) becomeWorker(identity());

module.exports = { VARIABLE, OPTION };
