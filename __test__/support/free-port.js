'use strict';

// Ports for programs that must be told one. Others run beside them (test files, whole suites): a port that was found
// free must still be free when the program listens, and must be nobody's when the program has closed it.

const fs = require('node:fs');
const net = require('node:net');
const { randomInt } = require('node:crypto');

/** The kernel takes from this range for whoever connects, or listens on any port. */
const [FIRST, LAST] = fs
  .readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
  .split(/\s+/)
  .map(Number);

/** The others, but for those that need rights. */
const PORTS = Array.from({ length: 65535 - 1024 }, (_, place) => 1025 + place).filter(
  port => port < FIRST || port > LAST,
);

let next = randomInt(PORTS.length);

/**
 * Finds a port on which nobody listens. No other test gets it as long as this process lives.
 *
 * @returns {Promise<number>}
 */
async function freePort() {
  const [port] = await freePorts(1);
  return port;
}

/**
 * As `freePort`: so many in a row.
 *
 * @param {number} count
 * @returns {Promise<number[]>}
 */
async function freePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = PORTS[next++ % PORTS.length];
    if (port !== ports.at(-1) + 1) ports.length = 0;
    if ((await reserve(port)) && (await isFree(port))) ports.push(port);
    else ports.length = 0;
  }
  return ports;
}

/** What a test has taken is told by a name that this machine has once, and that ends with the test. */
function reserve(port) {
  const server = net.createServer().unref();
  return listens(server, `\0rust-cluster-test-port-${port}`);
}

/**
 * Whether a server could listen on a port now.
 *
 * @param {number} port
 * @returns {Promise<boolean>}
 */
async function isFree(port) {
  const server = net.createServer();
  const free = await listens(server, port);
  if (free) await new Promise(resolve => server.close(resolve));
  return free;
}

function listens(server, where) {
  return new Promise((resolve, reject) => {
    server.once('error', error => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(where, () => resolve(true));
  });
}

module.exports = { freePort, freePorts };
