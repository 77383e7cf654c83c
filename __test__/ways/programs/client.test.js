'use strict';

// Run by node --test, Jest and Vitest (all have `test` as a global but the first).

const assert = require('node:assert/strict');
const client = require('./client');

const declare = globalThis.test ?? require('node:test').test;

declare('a test of a server that is a cluster', () => {
  assert.deepEqual(client(), { isPrimary: true, answers: ['worker 1', 'worker 2'] });
});
