'use strict';

// Makes a process that was started as a worker one: its end of the channel, and its cluster object.

const native = require('../native').load();
const { setupChannel } = require('../channel/setup_channel');
const install = require('./child');

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
 */
function becomeWorker({ id, slot, serialization, longestSent, channel: fd, handoff }) {
  const cluster = requireAsWorker();
  native.closeOnExec(fd);
  if (handoff >= 0) native.closeOnExec(handoff);
  const { channel, control } = setupChannel(process, fd, serialization, { longestSent });
  // The channel keeps the process alive while somebody listens to it.
  channel.native.unref();
  const counted = name => name === 'message' || name === 'disconnect';
  process.on('newListener', name => counted(name) && control.refCounted());
  process.on('removeListener', name => counted(name) && control.unrefCounted());
  install(cluster, { id, slot, channel, handoff });
  Object.defineProperty(cluster, INSTALLED, { value: true });
}

module.exports = becomeWorker;
