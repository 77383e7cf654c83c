'use strict';

// A process that has no number for a descriptor which it is sent: nothing is lost, and nobody is taken for broken.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { runCase } = require('../support/run-case');
const way = require('../support/way');

const starved = (name, options) =>
  runCase('engine/programs/starved.js', name, { descriptors: 128, exits: [0], ...options });

const loses = "Node's own loses what finds no descriptor";

/** A test that Node's own cluster does not pass, and why. */
const ours = (name, why, body) =>
  test(way === 'node' ? `${name} (${why})` : name, { skip: way === 'node' && why }, body);

ours('a worker serves every connection beside a thread that takes the last descriptor', loses, async () => {
  const said = await starved('connections beside a busy thread');
  assert.deepEqual(said, { served: [50] });
});

ours('a limit that somebody lowers loses no connection', loses, async () => {
  const said = await starved('connections under a lowered limit');
  assert.deepEqual(said, { served: Array(5).fill(true) });
});

for (const receiver of ['a worker', 'the primary']) {
  ours(`${receiver} gets every handle beside a thread that takes the last descriptor`, loses, async () => {
    const said = await starved(`handles to ${receiver}`);
    assert.deepEqual(said, { arrived: [true] });
  });
}

ours('while it waits for a descriptor a process lives as long as its channel keeps it', loses, async () => {
  const said = await starved('a worker that only waits for messages');
  assert.deepEqual(said, { arrived: ['before', 'with a handle, which came', 'after'], exit: [0] });
});

const duplicates = "Node's own sends the socket itself, and not a duplicate";
ours('a worker is told that the primary has no descriptor to answer with', duplicates, async () => {
  const said = await starved('a socket that all workers share');
  assert.deepEqual(said, { first: ['bind EMFILE'], 'left open': [0], second: ['listening'] });
});

ours('a worker that can take no more connections says so, and ends', 'it has none', async () => {
  const said = await starved('an intake that somebody closes', { exits: [1] });
  assert.deepEqual(said.error, [['ERR_RUST_CLUSTER_BROKEN_INTAKE', 'ENOTSOCK']]);
  assert.match(said.message[0], /recvmsg: ENOTSOCK/);
  assert.deepEqual(said.exit, [1]);
});
