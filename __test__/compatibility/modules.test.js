'use strict';

// ES modules and TypeScript: named imports are live, in primary and worker, whatever loads them.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const differences = require('../support/differences');
const { run } = require('../support/program');
const { facts } = require('../support/run-case');
const way = require('../support/way');

const HOOKS = pathToFileURL(path.join(__dirname, '..', 'support', 'control-hooks.mjs')).href;
const REGISTER = pathToFileURL(path.join(__dirname, '..', '..', 'register.js')).href;
const [major, minor] = process.versions.node.split('.').map(Number);

/** Loads a program as `way` has it: with the package, or with what stands in its place. */
async function load(file, { nodeArgs = [], ...options }) {
  const hooks = way === 'node' ? ['--import', HOOKS] : [];
  let said;
  const all = { exits: [0], nodeArgs: [...nodeArgs, ...hooks], ...options };
  await run(`compatibility/programs/modules/${file}`, all, async program => {
    const end = await program.end();
    assert.deepEqual(end, { code: 0, signal: null }, program.stderr.join('\n'));
    said = facts(program);
  });
  return said;
}

const register = way === 'rust' ? ['--import', REGISTER] : [];

test('compat 15: import cluster, { fork, isPrimary … } from the package, and an ES module as exec', async () => {
  const said = await load('named.mjs', {});
  assert.deepEqual(said, {
    'same object': [true],
    primary: [[true, true, false, 1, 2]],
    'same members': [[true, true, true, true]],
    workers: [[true, true]],
    listening: ['listening'],
    worker: [
      {
        same: true,
        is: [false, false, true],
        worker: [true, true, 1],
        added: 'yes',
        execArgv: [],
        port: true,
      },
    ],
  });
});

for (const [what, options] of [
  ['node:cluster with --import rust-cluster/register', { nodeArgs: register }],
  ['node:cluster and the package', { env: { PACKAGE: 'rust-cluster' } }],
]) {
  test(`compat 15: named imports are live: ${what}`, async () => {
    const said = await load('namespace.mjs', options);
    for (const where of ['primary', 'worker']) {
      assert.deepEqual(said[`${where} same`], [[true, true]]);
      assert.deepEqual(said[`${where} stale`], [[[], []]]);
    }
    assert.deepEqual(said.settings, [[['one'], ['one']]]);
    assert.deepEqual(said.workers, [[['1'], ['1']]]);
    assert.deepEqual(said.args, [['one']]);
  });
}

test("compat 15: the names to import are those of Node's cluster", async () => {
  const env = { PACKAGE: 'rust-cluster' };
  const said = await load('namespace.mjs', { env });
  const nodeArgs = ['--import', HOOKS];
  const control = await load('namespace.mjs', { env: { ...env, CLUSTER: 'node' }, nodeArgs });
  for (const where of ['primary', 'worker']) {
    assert.deepEqual(said[`${where} names`], control[`${where} names`]);
    // The package has the names of both, everywhere.
    const names = `${where} names of the package`;
    const [expected] = control[names];
    assert.deepEqual(said[names], [[...new Set([...expected, ...differences.namesOfBoth])].sort()], names);
  }
});

const hasTypes = major > 22 || (major === 22 && minor >= 6);
const skipTypes = !hasTypes && 'Node >= 22.6 has it';
const strip = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'];
const TSX = path.join(path.dirname(require.resolve('tsx/package.json')), 'dist');

/** What runs TypeScript: what node is given before everything else. */
const runners = {
  'node --experimental-strip-types': { args: strip, skip: skipTypes },
  'node --import tsx': { args: ['--import', pathToFileURL(path.join(TSX, 'loader.mjs')).href] },
  tsx: { args: [path.join(TSX, 'cli.mjs')] },
};

for (const [runner, { args, skip = false }] of Object.entries(runners)) {
  test(`compat 15: TypeScript: node:cluster with register: ${runner}`, { skip }, async () => {
    const said = await load('typescript.mts', { nodeArgs: [...args, ...register] });
    assert.deepEqual(said.message, [[true, true, true]]);
    assert.deepEqual(said.ours, [[differences.suicide, differences.suicide]]);
  });

  for (const exec of ['typescript-worker.mts', 'typescript-worker.cts']) {
    test(`compat 15: TypeScript: the package, with ${exec} as exec: ${runner}`, { skip }, async () => {
      const env = { EXEC: path.join(__dirname, 'programs', 'modules', exec) };
      const said = await load('typescript-package.mts', { env, nodeArgs: args });
      assert.deepEqual(said.message, [[true, true, false, 1, differences.suicide, true, true]]);
    });
  }
}
