'use strict';

// A service manager, which hears what it is told (./manager.rs: Node has no sockets of that kind).

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { createInterface } = require('node:readline');
const { built } = require('./built');
const leftovers = require('./leftovers');

let managers = 0;

/**
 * @returns {Promise<{ name: string, next(): Promise<string>, stop(): void }>} `name`: what NOTIFY_SOCKET is to be;
 *   `next`: what is heard, one datagram after the other, with | between its lines
 */
async function manager() {
  const name = `@rust-cluster-${process.pid}-manager-${++managers}`;
  const child = spawn(built('manager'), [name], { stdio: ['ignore', 'pipe', 'inherit'] });
  leftovers.track(child.pid);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value;
  assert.equal(await next(), 'bound');
  return { name, next, stop: () => child.kill('SIGKILL') };
}

module.exports = { manager };
