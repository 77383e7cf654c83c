'use strict';

// The first process of a container reaps what is left to it, and takes no end away from those who wait for it.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const way = require('../support/way');

const PROGRAM = path.join(__dirname, 'programs', 'first-process.js');
const NAMESPACE = ['--pid', '--fork', '--kill-child', '--mount-proc'];

const none = spawnSync('unshare', [...NAMESPACE, 'true']).status !== 0 && 'no PID namespace can be made here';
const skip = (way === 'node' && "Node's cluster reaps no orphans") || none;

test('orphans do not stay, and every child of our own is told', { skip }, () => {
  const { stdout, stderr } = spawnSync('unshare', [...NAMESPACE, process.execPath, PROGRAM], {
    encoding: 'utf8',
    // What is missing is waited for by the program.
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  assert.equal(stderr, '');
  const codes = [...Array(10).fill(7), ...Array(10).fill(8), 9];
  assert.deepEqual(JSON.parse(stdout), { pid: 1, codes, seen: true });
});
