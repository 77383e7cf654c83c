'use strict';

// What all tests rely on: they read a program's lines as it wrote them.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { facts } = require('./run-case');
const { run } = require('./program');
const { readSlowly } = require('./slow-reader');

test('the lines of several processes are whole, however slow the test is', () =>
  run('support/programs/lines.js', { exits: [0, 0, 0], stderr: /^\["line \d"/ }, async program => {
    readSlowly(program.process.stdout);
    readSlowly(program.process.stderr);
    await program.end();
    for (const stdout of [program.stdout, program.stderr]) {
      const expected = Object.fromEntries(
        [1, 2, 3].map(id => [
          `line ${id}`,
          Array.from({ length: 500 }, (_, place) => ({ place, text: 'x'.repeat(2000) })),
        ]),
      );
      assert.deepEqual(facts({ stdout }), expected);
    }
  }));
