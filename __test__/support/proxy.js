'use strict';

// Real proxies in front of a cluster.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { freePort } = require('./free-port');

/** Runs a proxy in front of a port, until it takes connections; and what is left of it ends with the test. */
async function proxied(command, configure, target, body) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-proxy-'));
  const port = await freePort();
  const file = path.join(folder, 'configuration');
  fs.writeFileSync(file, configure(port, target, folder));
  const child = spawn(command[0], [...command.slice(1), file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', text => {
    said += text;
  });
  const ended = once(child, 'close');
  try {
    await Promise.race([
      untilItListens(port),
      ended.then(([code]) => assert.fail(`${command[0]} ended with ${code}: ${said}`)),
    ]);
    await body(port);
  } finally {
    child.kill('SIGKILL');
    await ended;
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function untilItListens(port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise(resolve => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** Where a program is, if it is installed. */
const find = name =>
  ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
    .map(folder => path.join(folder, name))
    .find(file => fs.existsSync(file));

module.exports = { find, proxied };
