'use strict';

// Slots: the places that workers fill.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster does not have them";

test('a worker fills the lowest free slot, or the one that it is given', { skip }, async () => {
  const exits = ['SIGKILL', 'SIGKILL', ...Array(10).fill(0)];
  await run('engine/programs/slots.js', { exits }, async program => {
    await program.end();
    const refused = value =>
      "TypeError ERR_INVALID_ARG_VALUE The property 'options.slot' must be an integer from 0 to 65535. " +
      `Received ${value}`;
    assert.deepEqual(program.stdout, [
      '0 1 2',
      '1 0',
      '2 3 65535',
      '4 5 6',
      ...['-1', '65536', '1.5', "'1'", 'null', 'NaN', '0n'].map(refused),
      '12 false false true',
    ]);
  });
});
