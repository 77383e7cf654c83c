'use strict';

// The primary's JavaScript is not on the path of a connection, and its death leaves nothing behind.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { bodiesOf } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster accepts nothing then";
const noThreads = way === 'node' && "Node's own cluster has none";

test('a primary that runs `while (true)` goes on serving, with every worker', { skip }, async () => {
  await run('engine/programs/stuck-primary.js', {}, async program => {
    const [{ address }] = await program.events('listening', 3);
    await program.lines(/^stuck$/);
    assert.deepEqual(await bodiesOf(3, address.port), ['worker 1', 'worker 2', 'worker 3']);
  });
});

test('a primary ended by SIGKILL leaves no worker behind', async () => {
  await run('docs/programs/share-port.js', { env: { PORT: 0 } }, async program => {
    await program.events('listening', require('node:os').cpus().length);
    process.kill(program.pid, 'SIGKILL');
    // The workers hold the program's output: its end is the end of them all.
    assert.deepEqual(await program.end(), { code: null, signal: 'SIGKILL' });
  });
});

test('threads of the package take no signals: handlers run where the program does', {
  skip: noThreads,
}, async () => {
  await run('engine/programs/signals.js', { exits: [0] }, async program => {
    await program.end();
    assert.deepEqual(program.stdout.toSorted(), [
      'primary: cluster-accept takes none',
      'primary: cluster-flush takes none',
      'worker: cluster-flush takes none',
    ]);
  });
});
