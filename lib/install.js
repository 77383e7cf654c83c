'use strict';

// Decides what this process is, and makes Node's own cluster object ours, in place: net, http, dgram and every
// dependency have it already, or will get it from require('cluster').

const nativeLoader = require('./native');

/** Loaded where they are used: every worker would wait for them to start. */
const errors = () => require('./errors');

/** The environment variable that tells a process that it is our worker; gone before user code runs. */
const VARIABLE = 'RUST_CLUSTER_WORKER';
const INSTALLED = Symbol.for('rust-cluster.installed');

/** What stands before NODE_OPTIONS of a worker. */
const preloadOption = file => `--require ${JSON.stringify(file)} `;

/** What the primary told a process that is its worker; undefined for any other process. */
function identity() {
  const word = process.env[VARIABLE];
  if (!word) return undefined;
  // Not for grandchildren, nor for worker threads, which get a copy of the environment.
  delete process.env[VARIABLE];
  const [id, channel, handoff, serialization] = word.split(':');
  return { id: Number(id), channel: Number(channel), handoff: Number(handoff), serialization };
}

/** @returns {import('node:cluster').Cluster} */
function install() {
  const worker = nativeLoader.supported ? identity() : undefined;
  const cluster = worker ? requireAsWorker() : require('node:cluster');
  // Installed already, perhaps by another copy of this package; or a worker of Node's own cluster.
  if (cluster[INSTALLED] || (cluster.isWorker && !worker)) return cluster;
  if (!nativeLoader.supported) {
    warnOnce();
    return cluster;
  }
  if (worker) {
    // Nothing has imported it yet.
    becomeWorker(cluster, worker);
  } else {
    becomePrimary(cluster);
    require('node:module').syncBuiltinESMExports();
  }
  Object.defineProperty(cluster, INSTALLED, { value: true });
  return cluster;
}

let warned = false;

function warnOnce() {
  if (warned) return;
  warned = true;
  process.emitWarning(errors().unsupported(process.platform));
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

function becomePrimary(cluster) {
  if (Object.keys(cluster.workers).length > 0) throw errors().tooLate();
  require('./primary')(cluster);
}

function becomeWorker(cluster, { id, channel, handoff, serialization }) {
  const native = nativeLoader.load();
  native.closeOnExec(channel);
  if (handoff >= 0) native.closeOnExec(handoff);
  const { setupChannel } = require('./setup_channel');
  const { control, native: handle } = setupChannel(process, channel, serialization);
  // The channel keeps the process alive while somebody listens to it.
  handle.unref();
  const counted = name => name === 'message' || name === 'disconnect';
  process.on('newListener', name => counted(name) && control.refCounted());
  process.on('removeListener', name => counted(name) && control.unrefCounted());
  require('./child')(cluster, { id, handoff });
}

module.exports = { VARIABLE, install, preloadOption };
