'use strict';

// The board of a worker: what the primary knows of it without asking.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own workers have no board";

test('a board tells an idle worker from a stuck one, and a broken one does no harm', { skip }, async () => {
  const exits = Array(3).fill('SIGKILL');
  await run('engine/programs/board.js', { exits }, async program => {
    await program.end();
    assert.deepEqual(program.stdout, [
      'starts 0 0',
      'not asked 0 0',
      'sampled 3 true true true',
      'stuck true true',
      'bounded true',
      'others 3',
      'gone undefined',
    ]);
  });
});
