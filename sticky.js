'use strict';

// The other half of sticky clients, in a worker: require('rust-cluster/sticky'). See docs/sticky.md.

const cluster = require('./index');
const { idOf } = require('./lib/cluster/sticky_id');

/**
 * An id that carries the slot of this worker, so that whoever shows it is led back here.
 * @returns {string}
 */
const generateId = () => idOf(cluster.worker?.slot);

module.exports = { generateId };
