'use strict';

// The listeners of workers are the primary's, as Node's are: they keep it alive, and listening is traced there.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { runCase } = require('../support/run-case');

const PROGRAM = 'engine/programs/life.js';

/** What the case says; Node's own cluster, under which it runs too, says the same. */
async function said(name, options) {
  const ours = await runCase(PROGRAM, name, options);
  const theirs = await runCase(PROGRAM, name, { ...options, env: { ...options?.env, CLUSTER: 'node' } });
  assert.deepEqual(ours, theirs);
  return ours;
}

const none = { env: { NODE_CLUSTER_SCHED_POLICY: 'none' } };

test('a primary that has let go of its worker lives while that listens', async () => {
  const { alive } = await said('a server listens');
  assert.deepEqual(alive, [true]);
});

for (const [name, what, options] of [
  ['a server has listened', 'has closed its server'],
  ['a server has the socket itself', 'has the socket itself', none],
  ['a UDP socket is bound', 'listens by UDP'],
]) {
  test(`a primary that has let go of its worker ends when that ${what}`, async () => {
    assert.deepEqual(await said(name, options), { ends: [true] });
  });
}

test('listening is traced in the primary, be it successful or not', async () => {
  const { told } = await said('tracing', { exits: [0] });
  const events = told.map(([event]) => event);
  assert.deepEqual(events, ['asyncStart', 'asyncEnd', 'asyncStart', 'error', 'asyncStart', 'asyncEnd']);
});
