'use strict';

// The settings that Node's cluster does not have.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster does not have them";

test('with parentDeathSignal, a stuck worker ends with its primary', { skip }, async () => {
  await run('engine/programs/parent-death-signal.js', {}, async program => {
    await program.lines(/^stuck$/);
    process.kill(program.pid, 'SIGKILL');
    // The worker holds the program's output: its end is the end of both.
    assert.deepEqual(await program.end(), { code: null, signal: 'SIGKILL' });
  });
});

test('a setting that cannot be is refused when it is made, and changes nothing', { skip }, () => {
  const cluster = require('rust-cluster');
  const bad = {
    maxMessageSize: [0, 4095, 2 ** 40, 5000.5, '5000', null, NaN],
    maxQueuedBytes: [0, 131071, Infinity, '1e6', null],
    parentDeathSignal: ['SIGNOTHING', 'sigkill', 0, 1000, null, {}],
  };
  for (const [name, values] of Object.entries(bad)) {
    const code = name === 'parentDeathSignal' ? 'ERR_UNKNOWN_SIGNAL' : 'ERR_INVALID_ARG_VALUE';
    for (const value of values) {
      assert.throws(() => cluster.setupPrimary({ [name]: value }), { name: 'TypeError', code });
      assert.deepEqual(cluster.settings, {});
    }
  }
});

test('a setting that can be is kept', { skip }, () => {
  const cluster = require('rust-cluster');
  const settings = { maxMessageSize: 4096, maxQueuedBytes: 131072, parentDeathSignal: 9 };
  cluster.setupPrimary(settings);
  for (const [name, value] of Object.entries(settings)) assert.equal(cluster.settings[name], value);
});

for (const [what, code, end] of [
  ['send', 'ERR_RUST_CLUSTER_FRAME_TOO_LARGE', 0],
  ['sleep', 'ERR_RUST_CLUSTER_QUEUE_FULL', 'SIGKILL'],
]) {
  test(`a worker beyond its limit loses its channel, the others go on (${what})`, { skip }, async () => {
    await run('engine/programs/limits.js', { env: { DO: what }, exits: [0, end] }, async program => {
      await program.lines(/^still there$/);
      await program.end();
      assert.deepEqual(
        program.stdout.filter(line => line.startsWith('error')),
        [`error ${code}`],
      );
    });
  });
}

for (const serialization of ['json', 'advanced']) {
  test(`maxMessageSize is about what a message is, not how it travels: ${serialization}`, {
    skip,
  }, async () => {
    const env = { SERIALIZATION: serialization };
    await run('engine/programs/message-size.js', { env, exits: [0, 0] }, async program => {
      await program.lines(/^as measured: \d+ sent, \d+ refused$/, 2);
      await program.events('exit', 2);
    });
  });
}
