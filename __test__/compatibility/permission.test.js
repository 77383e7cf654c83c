'use strict';

// Node's permission model: what a program may not do, it may not do with us either, and is told so in Node's words.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { runCase } = require('../support/run-case');

const NODE = Number.parseInt(process.versions.node, 10);
const MODEL = NODE < 22 ? '--experimental-permission' : '--permission';
const FILES = ['--allow-fs-read=*', '--allow-fs-write=*'];
const knowsNet = process.allowedNodeEnvironmentFlags.has('--allow-net');

/** What a program says that is run under the model, allowed what `allowed` names. */
const permitted = (name, allowed, options) =>
  runCase('compatibility/programs/permission.js', name, {
    nodeArgs: ['--no-warnings', MODEL, ...FILES, '--allow-addons', ...allowed],
    ...options,
  });

test('permission: without --allow-child-process a fork is refused, as by Node', async () => {
  const said = await permitted('fork', []);
  assert.equal(said.forked, undefined);
  assert.deepEqual(
    said.thrown.map(({ code, permission }) => [code, permission]),
    Array(2).fill(['ERR_ACCESS_DENIED', 'ChildProcess']),
  );
  assert.deepEqual(said, await permitted('fork', [], { env: { CLUSTER: 'node' } }));
});

const CHILD = '--allow-child-process';

test('permission: a silent worker is heard, or is none, and another is', async () => {
  const { heard, thrown, workers } = await permitted('a silent worker', [CHILD], { exits: [0] });
  if (!thrown) return assert.deepEqual(heard, ['["hello",1]\n']);
  const [{ code, permission }] = thrown;
  assert.deepEqual([code, permission, workers], ['ERR_ACCESS_DENIED', 'Net', [0]]);
});

const places = ['a port', 'a host', 'a path', 'an abstract name', 'datagrams'];

for (const policy of ['rr', 'none']) {
  const options = { env: { NODE_CLUSTER_SCHED_POLICY: policy }, exits: [0] };

  describe('permission: without --allow-net', {
    skip: !knowsNet && 'the model knows of it from Node 25 on',
  }, () => {
    test(`permission: a worker's listen is refused as one without the primary is (${policy})`, async () => {
      const said = await permitted('listen', [CHILD], options);
      for (const place of places) {
        assert.equal(said[place][0][1].code, 'ERR_ACCESS_DENIED', place);
        assert.deepEqual(said[place], said[`${place}, without the primary`], place);
      }
    });

    test(`permission: a worker may not do more than its primary (${policy})`, async () => {
      const said = await permitted('listen, the worker alone may', [CHILD], options);
      assert.deepEqual(said, { outcome: [['error', 'EACCES', 'bind']] });
    });
  });

  test(`permission: who may use the network listens (${policy})`, async () => {
    const said = await permitted('listen', knowsNet ? [CHILD, '--allow-net'] : [CHILD], options);
    for (const place of places.filter(place => place !== 'a path')) {
      assert.deepEqual(said[place], [['listening']], place);
    }
    assert.deepEqual(said['a path'][0][1].code, 'EACCES');
  });
}
