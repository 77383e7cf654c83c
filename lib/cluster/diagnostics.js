'use strict';

// What the cluster does, for whoever subscribes by node:diagnostics_channel. See docs/metrics.md.

const { channel } = require('node:diagnostics_channel');

const NAMES = [
  'fork',
  'online',
  'listening',
  'disconnect',
  'exit',
  'stuck',
  'recovered',
  'rescued',
  'refused',
  'reload:start',
  'reload:step',
  'reload:end',
];

const channels = Object.fromEntries(NAMES.map(name => [name, channel(`rust-cluster:${name}`)]));

/**
 * @param {string} name
 * @param {() => object} message made only where somebody listens
 */
function publish(name, message) {
  const { [name]: to } = channels;
  if (to.hasSubscribers) to.publish(message());
}

module.exports = { publish };
