'use strict';

// The last worker that leaves serves all that clients have connected: what is in the queues, and what is
// still in the kernel.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { freePort } = require('../support/free-port');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster closes what waits";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-leaving-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** More than a queue holds, so that some wait in the kernel. */
const CLIENTS = 500;

for (const who of ['primary', 'worker']) {
  for (const workers of [1, 3]) {
    test(`${workers} blocked workers leave at the wish of the ${who}: all clients are served`, {
      skip,
    }, async () => {
      const env = { WORKERS: workers, CLIENTS, WHO: who, PORT: await freePort() };
      const exits = Array(workers).fill(0);
      await run('engine/programs/leaving.js', { env, exits }, async program => {
        await program.lines(new RegExp(`^${CLIENTS} served$`));
        await program.lines(/^a late one: ECONNREFUSED$/);
        assert.deepEqual(await program.end(), { code: 0, signal: null });
      });
    });
  }
}

test('a worker that leaves serves until its primary knows', { skip }, async () => {
  await run('engine/programs/leaving-unheard.js', { exits: [0] }, async program => {
    await program.lines(/^served$/);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });
});

test('a worker is told to leave when all that is its own is in its queue', { skip }, async () => {
  const env = { WORKERS: 1, CLIENTS, WHO: 'primary', PORT: await freePort() };
  await run('engine/programs/leaving.js', { env, exits: [0] }, async program => {
    const [[, before]] = await program.lines(/^told to leave after (\d+) connections$/);
    // A turn of its loop takes 16 at most: it has taken some for the others to find room.
    assert.ok(before > 16, `${before} connections`);
    await program.end();
  });
});

for (const kind of ['net', 'http', 'https', 'http2', 'http2, secure']) {
  for (const kept of ['', 'that is kept alive']) {
    // A net server here takes one request a connection.
    if (kind === 'net' && kept) continue;
    test(`a request on its way to a worker that leaves is answered: ${kind}, on a connection ${kept || 'of its own'}`, {
      skip: way === 'node' && "Node's own cluster may end the connection",
    }, async () => {
      const env = { KIND: kind, KEPT: kept, SENT: path.join(folder, `${kind} ${kept}`) };
      await run('engine/programs/leaving-servers.js', { env, exits: [0] }, async program => {
        await program.lines(/^served$/);
        assert.deepEqual(await program.end(), { code: 0, signal: null });
      });
    });
  }
}
