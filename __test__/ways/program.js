'use strict';

// Runs programs/served.js in some way with rust-cluster, and in the same way with Node's own cluster: what it says
// has to be the same.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const REGISTER = path.join(ROOT, 'register.js');
/** In its place for the control: it does nothing. */
const CONTROL = path.join(__dirname, 'programs', 'nothing.js');
const SERVED = path.join(__dirname, 'programs', 'served.js');

/** What the processes of a test must not get from whoever runs the tests. */
const FOREIGN = /^(NODE_OPTIONS|NODE_V8_COVERAGE|NODE_TEST_CONTEXT|CLUSTER|npm_|RUST_CLUSTER)/;

/**
 * @typedef {object} Way
 * @property {(preload: string) => string[]} [command] the command line: by default node -r PRELOAD PROGRAM
 * @property {string[]} [flags] options of node
 * @property {string[]} [args] arguments of the program
 * @property {(preload: string) => Record<string, string>} [env]
 * @property {string} [cwd]
 * @property {string} [program]
 */

/** Runs it once; its output. */
function once(preload, { command, flags = [], args = [], env, cwd, program = SERVED }) {
  const line = command?.(preload) ?? [process.execPath, '-r', preload, ...flags, program, ...args];
  const own = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const { stdout, stderr, status, signal, error } = spawnSync(line[0], line.slice(1), {
    cwd,
    env: { ...Object.fromEntries(own), ...env?.(preload) },
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { stdout, stderr, status, signal, error, line };
}

/** What a run said, or all that is known of why it said nothing. */
function result(preload, way) {
  const run = once(preload, way);
  const [, said] = run.stdout?.match(/^result (.*)$/m) ?? [];
  assert.ok(said && run.status === 0, `${run.line.join(' ')}\n${JSON.stringify(run, null, 2)}`);
  return JSON.parse(said.replaceAll(JSON.stringify(preload).slice(1, -1), 'PRELOAD'));
}

/** @param {Way} way */
function assertSame(way) {
  const control = result(CONTROL, way);
  assert.deepEqual(control.answers, ['worker 1', 'worker 2']);
  assert.deepEqual(result(REGISTER, way), control);
}

module.exports = { assertSame, once, CONTROL, FOREIGN, REGISTER, ROOT, SERVED };
