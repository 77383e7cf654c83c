'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { test } = require('node:test');
const { guarantees } = require('../../scripts/chaos/run');

const CHAOS = require.resolve('../../scripts/chaos.js');

const script = (...args) => spawnSync(process.execPath, [CHAOS, ...args], { encoding: 'utf8' });

test('an attack that there is not is an error, which names those that there are', () => {
  const { status, stdout, stderr } = script('--only', '99');
  assert.equal(status, 2);
  assert.equal(stdout, '');
  for (const { name } of guarantees()) assert.ok(stderr.includes(name), `${name} in ${stderr}`);
});

test('a seed that is no number is an error', () => {
  const { status, stderr } = script('--seed', 'x');
  assert.equal(status, 2);
  assert.match(stderr, /--seed x is no number/);
});
