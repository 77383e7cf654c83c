'use strict';

const net = require('node:net');

// Below the range from which systems take the ports of outgoing connections, and with a start of its own
// for each process: test files run side by side, and a port found free must still be free a moment later.
const LOWEST = 10000;
const COUNT = 20000;
let next = (process.pid * 32) % COUNT;

/**
 * Finds a port on which nobody listens.
 *
 * @returns {Promise<number>}
 */
async function freePort() {
  for (;;) {
    const port = LOWEST + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
}

/**
 * Whether a server could listen on a port now.
 *
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function isFree(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', error => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

module.exports = { freePort, isFree };
