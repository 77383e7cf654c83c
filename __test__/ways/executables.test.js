'use strict';

// process.execPath is not Node: a single-executable application, and what Electron does.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { copyPackage } = require('../support/copy');
const { assertServes, project, served, skip, succeed, tool } = require('./project');

const [major] = process.versions.node.split('.').map(Number);

function installed(t) {
  const folder = project(t);
  copyPackage(path.join(folder, 'node_modules', 'rust-cluster'));
  return folder;
}

/** Makes programs/executable.js an executable file. */
function build(cwd) {
  fs.copyFileSync(path.join(__dirname, 'programs', 'executable.js'), path.join(cwd, 'executable.js'));
  const config = { main: 'executable.js', disableExperimentalSEAWarning: true };
  const write = output => fs.writeFileSync(path.join(cwd, 'sea.json'), JSON.stringify({ ...config, output }));
  if (major >= 25) {
    write('app');
    succeed(['--build-sea', 'sea.json'], { cwd });
  } else {
    write('app.blob');
    succeed(['--experimental-sea-config', 'sea.json'], { cwd });
    fs.copyFileSync(fs.realpathSync(process.execPath), path.join(cwd, 'app'));
    const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
    const inject = [tool('postject', 'dist', 'cli.js'), 'app', 'NODE_SEA_BLOB', 'app.blob'];
    succeed([...inject, '--sentinel-fuse', fuse], { cwd });
  }
  return path.join(cwd, 'app');
}

test('a single-executable application, with the package beside it', { skip }, t => {
  const cwd = installed(t);
  const options = { cwd, execPath: build(cwd) };
  const control = served([], { ...options, env: { PROGRAM: './served.js' } });
  assert.deepEqual(control.answers, ['worker 1', 'worker 2']);
  assert.deepEqual(served([], { ...options, env: { PROGRAM: './packaged.js' } }), control);
});

/**
 * In the place of the file of an Electron application: Node only if ELECTRON_RUN_AS_NODE says so, and a packaged one
 * heeds no NODE_OPTIONS.
 */
const ELECTRON = `#!/bin/sh
[ -n "$ELECTRON_RUN_AS_NODE" ] || { echo 'it would open a window' >&2; exit 7; }
unset NODE_OPTIONS
exec "${process.execPath}" "$@"
`;

test('as Electron does it: fork() sets ELECTRON_RUN_AS_NODE, and NODE_OPTIONS is not heeded', t => {
  const cwd = installed(t);
  const execPath = path.join(cwd, 'electron');
  fs.writeFileSync(execPath, ELECTRON, { mode: 0o755 });
  fs.copyFileSync(path.join(__dirname, 'programs', 'electron.js'), path.join(cwd, 'electron.js'));
  assertServes('packaged.js', { cwd, nodeArgs: ['-r', './electron.js'], env: { ELECTRON: execPath } });
});
