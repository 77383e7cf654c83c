'use strict';

// A worker that cannot be started: the program gets the error that Node gives, nothing is left behind, and the next one
// starts when the cause is gone.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { runCase } = require('../support/run-case');
const user = require('../support/user');
const way = require('../support/way');

const cannotStart = (name, options) =>
  runCase('engine/programs/cannot-start.js', name, { exits: ['SIGTERM'], ...options });

/** The 'error' event of a worker whose program could not be started. */
const event = (code, path = process.execPath) => ({ event: code, syscall: `spawn ${path}`, path, left: 0 });

function outcome({ spawnargs, ...rest }) {
  if (spawnargs) assert.match(spawnargs.at(-1), /cannot-start\.js$/);
  return rest;
}

function failedTwice(said, expected) {
  assert.deepEqual(said.outcome.map(outcome), [expected]);
  assert.deepEqual(said['the same again'], [true]);
  assert.deepEqual(said['left open'], [0]);
  assert.deepEqual(said.then, ['started']);
}

for (const [what, room] of [
  ['no thread', 0],
  ['a thread, and no process', 1],
]) {
  const name = `at the limit of processes, with ${what} to be had, a worker has an 'error' event`;
  const skip =
    user.shared ?? (room > 0 && way === 'node' && "Node's own takes no thread: its process starts");
  test(skip ? `${name} (${skip})` : name, { skip }, async () => {
    const said = await cannotStart('no process', { env: { ROOM: room }, processes: 64 });
    failedTwice(said, event('EAGAIN'));
  });
}

for (const which of ['first', 'second']) {
  test(`whichever descriptor is missing, the ${which} worker has an 'error' event`, async () => {
    const env = which === 'second' ? { SECOND: 'yes' } : {};
    const exits = which === 'second' ? ['SIGTERM', 'SIGTERM', 'SIGTERM'] : ['SIGTERM', 'SIGTERM'];
    const said = await cannotStart('no descriptor', { env, exits, descriptors: 100 });
    assert.ok(said.outcome.length > 1);
    // Node keeps such a worker.
    for (const [at, found] of said.outcome.entries())
      assert.deepEqual(outcome(found), { ...event('EMFILE'), left: at + 1 });
    assert.deepEqual(said.then, ['started']);
    // Node's own does leave some.
    if (way === 'node') return;
    // What is made with the first worker, once, stays: the acceptor's three, and the memory that workers start from.
    const made = said['left open'].reduce((sum, count) => sum + count);
    assert.equal(made, which === 'first' ? 4 : 0);
  });
}

test('an environment that is too large makes fork() throw', async () => {
  failedTwice(await cannotStart('too much'), { thrown: 'E2BIG', syscall: 'spawn' });
});

for (const [code, path] of Object.entries({ ENOENT: '/nonexistent', EACCES: '/' })) {
  test(`a program that cannot be executed (${code}) is an 'error' event`, async () => {
    failedTwice(await cannotStart('no program', { env: { PROGRAM: path } }), event(code, path));
  });
}
