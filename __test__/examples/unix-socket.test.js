'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { askUntilAll, send } = require('../support/http');
const { example, COUNT, IDS } = require('./example');

test('unix-socket.js: every worker answers, and the file goes with the last', async context => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const socketPath = path.join(folder, 'app.sock');
  const exits = new Array(COUNT).fill(0);
  await example('unix-socket.js', { env: { SOCKET: socketPath }, exits }, async program => {
    const bodies = await askUntilAll(COUNT, async () => {
      const { request, response } = send(undefined, { socketPath });
      request.end();
      return (await response).body;
    });
    assert.deepEqual(
      [...new Set(bodies)].sort(),
      IDS.map(id => `Hello from worker ${id}\n`),
    );
    assert.equal(fs.statSync(socketPath).mode & 0o222, 0o222);

    // To all its processes, as systemd does.
    process.kill(-program.pid, 'SIGTERM');
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.ok(!fs.existsSync(socketPath));
  });
});
