'use strict';

// Node's permission model (--permission), asked as Node's own code asks it. Loaded where it is in force.

const errors = require('../errors');

/** Earlier models let pass what they do not know, and say no when asked about it. */
const KNOWS_NET = process.allowedNodeEnvironmentFlags.has('--allow-net');

/** Whether this process may not use the network, of which Unix sockets are a part. */
const isOffline = () => KNOWS_NET && !process.permission.has('net');

/**
 * Stops who may not listen, as without a cluster: net throws, dgram has an 'error' event.
 * @returns {boolean} whether it was stopped
 */
function refuses({ address, port, addressType }, callback) {
  if (!isOffline()) return false;
  const udp = `${addressType}`.startsWith('udp');
  const resource = udp || port < 0 ? address : '';
  if (!udp) throw errors.accessDenied('Net', '--allow-net', resource);
  callback(errors.accessDenied('Net', '--allow-net', resource), null);
  return true;
}

/**
 * Stops who may not open the pipes of a worker's stdio, as it is from Node 26.12 on without --allow-net: before there
 * is a worker.
 * @param {{ type: string, handle: { open(fd: number): number } }[]} stdio
 */
function checkPipes(stdio) {
  // Nobody has this descriptor; what is not allowed is thrown before that is seen.
  for (const { type, handle } of stdio) if (type === 'pipe') handle.open(-1);
}

module.exports = { checkPipes, isOffline, refuses };
