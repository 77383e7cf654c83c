'use strict';

// Makes a process that was started as a worker one: its end of the channel, and its cluster object.

const { errorMonitor } = require('node:events');

const { setupChannel } = require('../channel/setup_channel');
const install = require('./child');

const errors = () => require('../errors');

const INSTALLED = Symbol.for('rust-cluster.installed');

/** Node decides by this variable, when cluster is first loaded, which members the object has. */
function requireAsWorker() {
  process.env.NODE_UNIQUE_ID ??= '';
  try {
    return require('node:cluster');
  } finally {
    delete process.env.NODE_UNIQUE_ID;
  }
}

/**
 * As ../../index.js in a primary.
 * @param {object} identity what the primary told this process
 * @param {number} identity.id
 * @param {number} identity.slot
 * @param {'json' | 'advanced'} identity.serialization
 * @param {number} [identity.longestSent] bytes of the longest message that it takes
 * @param {number} identity.channel a descriptor
 * @param {number} identity.handoff a descriptor, -1 for none
 * @param {number} identity.board a descriptor, -1 for none
 * @param {string} [identity.preload] the file of ours that NODE_OPTIONS has named
 */
function becomeWorker({ id, slot, serialization, longestSent, channel: fd, handoff, board, preload }) {
  const cluster = requireAsWorker();
  const { channel, control } = setupChannel(process, fd, serialization, { longestSent });
  // The channel keeps the process alive while somebody listens to it.
  channel.native.unref();
  const counted = name => name === 'message' || name === 'disconnect';
  process.on('newListener', name => counted(name) && control.refCounted());
  process.on('removeListener', name => counted(name) && control.unrefCounted());
  install(cluster, { id, slot, channel, handoff, board });
  Object.defineProperty(cluster, INSTALLED, { value: true });
  process.on('worker', thread => explainEnd(thread, preload));
}

/**
 * Threads inherit the options that Node was started with, and so each runs the file that made this process a worker,
 * where it does nothing. If that file is gone by then, Node says no more than that it was not found.
 */
function explainEnd(thread, preload) {
  thread.once(errorMonitor, error => {
    const missing = error?.code === 'MODULE_NOT_FOUND' || error?.code === 'EACCES';
    if (preload && missing && error.message.includes(preload))
      process.emitWarning(errors().threadWithoutFile(preload));
  });
}

module.exports = becomeWorker;
