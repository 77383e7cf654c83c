'use strict';

// require('rust-cluster/telemetry'): where metrics, health and status of this cluster are. See docs/telemetry.md.

const cluster = require('./index');
const { supported } = require('./lib/native');

/**
 * Where they are: null before the first fork, in a worker, and where it could not be had.
 * @returns {{ address: string, family: string, port: number } | string | null}
 */
function address() {
  if (!supported || !cluster.isPrimary) return null;
  return require('./lib/telemetry/primary').address();
}

module.exports = { address };
