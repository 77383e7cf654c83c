'use strict';

// require('rust-cluster/bus'): what the processes of a cluster say to each other. See docs/bus.md.

require('./index');
const { BroadcastChannel } = require('./lib/bus/broadcast_channel');
const { leader } = require('./lib/bus/leader');
const { locks } = require('./lib/bus/locks');
const { store } = require('./lib/bus/store');

/** Loaded by the primary that has one. */
const bridge = (transport, options) => require('./lib/bus/bridge').bridge(transport, options);

module.exports = { BroadcastChannel, bridge, leader, locks, store };
