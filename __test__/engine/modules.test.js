'use strict';

// `import cluster, { fork, isPrimary } from 'rust-cluster'` in a file that is both, the primary and a worker.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && 'in a worker of Node, node:cluster has no export named fork';

test('a program imports by name what only a primary, or only a worker, has', { skip }, async () => {
  await run('engine/programs/named-imports.mjs', { exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, ['primary true true undefined', 'worker undefined true undefined']);
  });
});
