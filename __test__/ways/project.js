'use strict';

// A project with rust-cluster in it, to be bundled, installed, copied and run from a folder of its own.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { FOREIGN } = require('./program');

const PROGRAMS = path.join(__dirname, 'programs');
const TOOLS = path.join(__dirname, 'tools', 'node_modules');

/** For tests that need what is in tools/package.json. */
const skip = !fs.existsSync(TOOLS) && 'not installed: npm ci --prefix __test__/ways/tools';

/** @returns {string} the path of a file of a tool */
const tool = (...parts) => path.join(TOOLS, ...parts);

/** A folder with programs/packaged.js, which loads rust-cluster, and what it needs of programs/. */
function project(t) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-project-')));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  for (const name of ['packaged.js', 'served.js'])
    fs.copyFileSync(path.join(PROGRAMS, name), path.join(folder, name));
  return folder;
}

/** Runs a program to its end, in an environment that is not that of the tests. */
function run(args, { execPath = process.execPath, cwd, env } = {}) {
  const own = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const options = { cwd, env: { ...Object.fromEntries(own), ...env }, encoding: 'utf8', timeout: 120_000 };
  const { status, signal, stdout, stderr, error } = spawnSync(execPath, args, options);
  return { status: signal ?? status, stdout, stderr, error };
}

/** As `run`, for what must succeed. */
function succeed(args, options) {
  const done = run(args, options);
  assert.equal(done.status, 0, `${args.join(' ')}\n${done.error ?? ''}${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** What programs/served.js has found out. */
function served(args, options) {
  const stdout = succeed(args, options);
  const [, said] = stdout.match(/^result (.*)$/m) ?? [];
  assert.ok(said, stdout);
  return JSON.parse(said);
}

/** Runs a program that is made of programs/packaged.js: it must say what programs/served.js says with Node's own cluster. */
function assertServes(file, { nodeArgs = [], ...options } = {}) {
  const control = served([...nodeArgs, path.join(PROGRAMS, 'served.js')], options);
  assert.deepEqual(control.answers, ['worker 1', 'worker 2']);
  assert.deepEqual(served([...nodeArgs, file], options), control);
}

module.exports = { assertServes, project, run, served, skip, succeed, tool };
