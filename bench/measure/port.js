'use strict';

const { once } = require('node:events');
const net = require('node:net');

/** Below the range from which clients get theirs. */
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** A port of the loopback address that nobody listens on. */
async function freePort() {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const server = net.createServer();
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening');
    } catch {
      continue;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

module.exports = freePort;
