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

module.exports = { isOffline, refuses };
