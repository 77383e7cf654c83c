'use strict';

// What is promised nowhere, and yet programs see it: each case is run with Node's own cluster too, and says the same.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { runCase } = require('../support/run-case');

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

/** Compares with the control, and returns what was said. */
async function alike(name, exits, env) {
  const run = cluster =>
    runCase('compatibility/programs/alike.js', name, { env: { FOLDER: folder, ...env, ...cluster }, exits });
  const said = await run();
  assert.deepEqual(said, await run({ CLUSTER: 'node' }));
  return said;
}

const ends = {
  'an exception': 1,
  'a rejection': 1,
  'abort()': 'SIGABRT',
  'exitCode, process.disconnect()': 0,
  'exitCode, worker.disconnect()': 4,
  'exitCode, worker.kill()': 0,
  'kill() of a worker that listens': 0,
  'disconnect() with a connection': 0,
};

for (const [how, end] of Object.entries(ends)) {
  test(`alike: a worker ends: ${how}`, async () => {
    const said = await alike(`ends: ${how}`, [end]);
    assert.deepEqual([said.online.length, said.disconnect.length, said.exit.length], [1, 1, 1]);
  });
}

test('alike: an exception in a listener of messages loses none', async () => {
  const said = await alike('an exception in a listener of messages', [0]);
  assert.deepEqual(said, {
    primary: ['first', 'second', 'in the worker'],
    'caught in the primary': ['in the primary'],
  });
});

for (const serialization of ['json', 'advanced']) {
  test(`alike: values of every kind, both ways (${serialization})`, async () => {
    const said = await alike('messages', [0], { SERIALIZATION: serialization });
    assert.equal(said['to primary'].length, 42);
    assert.deepEqual(said['to primary, internal'], ["{ cmd: 'NODE_X', n: 1 }"]);
  });
}

test('alike: what a worker that has gone is asked for', () => alike('a worker that has gone', [0]));

for (const policy of ['rr', 'none']) {
  test(`alike: addresses and connection keys (${policy})`, async () => {
    const said = await alike('addresses', [0], { NODE_CLUSTER_SCHED_POLICY: policy });
    assert.ok(said.address.length >= 3);
  });
}
