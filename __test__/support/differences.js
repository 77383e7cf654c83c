'use strict';

const way = require('./way');

const BEHAVIOURS = {
  // Document 002: NODE_DEBUG=cluster prints `PID,Master Worker PID online` for every worker.
  debugLines: { rust: true, node: false },
  // Document 004: worker.suicide is the old name of worker.exitedAfterDisconnect.
  suicide: { rust: true, node: false },
  // Document 004: requests are spread evenly. Node's own skips a worker whose last answer is still under way.
  strictRoundRobin: { rust: true, node: false },
  // Document 004: cluster.disconnect([callback]). Node's own calls back when the first worker has gone.
  disconnectWaitsForAll: { rust: true, node: false },
};

/**
 * What the documents promise and Node's own cluster does otherwise: for each such behaviour, whether the
 * cluster under test has it.
 *
 * @type {Record<keyof typeof BEHAVIOURS, boolean>}
 */
module.exports = Object.fromEntries(Object.entries(BEHAVIOURS).map(([name, has]) => [name, has[way]]));
