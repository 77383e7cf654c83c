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

/** Where a worker's cluster object has what lib/cluster/child.js is for it. */
const WITHIN = Symbol.for('rust-cluster.within');

/**
 * Has the metrics of this worker be part of those of the cluster. Where there is no telemetry, nothing is done.
 * @param {{ metrics(): string | Promise<string> } | (() => string | Promise<string>)} source
 */
function collect(source) {
  if (typeof source !== 'function' && typeof source?.metrics !== 'function')
    throw require('./lib/errors').badSource(source);
  cluster[WITHIN]?.collector.add(source);
}

module.exports = { address, collect };
