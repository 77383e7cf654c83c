'use strict';

const { spawn, spawnSync } = require('node:child_process');

const { freePort } = require('../../__test__/support/free-port');

/** A server with nothing on disk; undefined if it, or a package that is needed, is not installed. */
async function startRedis(...packages) {
  for (const name of packages) {
    try {
      require.resolve(name);
    } catch {
      return console.log(`${name} is not installed: without Redis`);
    }
  }
  if (spawnSync('redis-server', ['--version']).error)
    return console.log('redis-server is not installed: without Redis');
  const port = await freePort();
  const nothing = ['--save', '', '--appendonly', 'no'];
  const server = spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', ...nothing]);
  for await (const chunk of server.stdout) if (/Ready to accept/.test(chunk)) break;
  return { port, server };
}

module.exports = { startRedis };
