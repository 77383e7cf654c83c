'use strict';

// What package managers make of the package, without the network: pnpm's links, Yarn's Plug'n'Play. And installations
// that are copied elsewhere. __test__/install/ installs what `npm pack` makes, with Rust and without.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { copyPackage } = require('../support/copy');
const { assertServes, project, run, skip, succeed, tool } = require('./project');

/** The package as a tarball, with its addon. */
function tarball(folder) {
  const unpacked = copyPackage(path.join(folder, 'tar', 'package'));
  const file = path.join(folder, 'rust-cluster.tgz');
  const made = spawnSync('tar', ['-czf', file, '-C', path.dirname(unpacked), 'package'], {
    encoding: 'utf8',
  });
  assert.equal(made.status, 0, made.stderr);
  fs.rmSync(path.dirname(unpacked), { recursive: true });
}

/** A project for a package manager, whose caches and settings are in the project, too. */
function prepare(t, manifest, files = {}) {
  const cwd = project(t);
  tarball(cwd);
  const all = {
    'package.json': JSON.stringify({ private: true, name: 'app', ...manifest }),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(cwd, name), text);
  return { cwd, env: { HOME: cwd, XDG_DATA_HOME: cwd, XDG_CACHE_HOME: cwd, XDG_STATE_HOME: cwd } };
}

const DEPENDENCIES = { dependencies: { 'rust-cluster': 'file:./rust-cluster.tgz' } };

function withPnpm(t) {
  const { cwd, env } = prepare(t, DEPENDENCIES);
  succeed([tool('pnpm', 'bin', 'pnpm.cjs'), 'install', '--offline', '--no-frozen-lockfile'], { cwd, env });
  return cwd;
}

/** @param {object} [manifest] more of package.json */
function withYarn(t, manifest) {
  const settings = 'enableGlobalCache: false\nenableNetwork: false\nenableTelemetry: false\n';
  const files = { '.yarnrc.yml': settings, 'yarn.lock': '' };
  const { cwd, env } = prepare(t, { ...DEPENDENCIES, ...manifest }, files);
  succeed([tool('@yarnpkg', 'cli-dist', 'bin', 'yarn.js'), 'install'], {
    cwd,
    env: { ...env, YARN_ENABLE_IMMUTABLE_INSTALLS: 'false' },
  });
  return cwd;
}

test('pnpm: the package is a link', { skip }, t => {
  const cwd = withPnpm(t);
  assert.ok(fs.lstatSync(path.join(cwd, 'node_modules', 'rust-cluster')).isSymbolicLink());
  assertServes(path.join(cwd, 'packaged.js'));
  assertServes(path.join(cwd, 'packaged.js'), { nodeArgs: ['--preserve-symlinks'] });
});

test('pnpm, in a stage of an image: node_modules is copied, and nothing else is left', { skip }, t => {
  const cwd = withPnpm(t);
  const there = project(t);
  const name = 'node_modules';
  fs.cpSync(path.join(cwd, name), path.join(there, name), { recursive: true, verbatimSymlinks: true });
  fs.rmSync(cwd, { recursive: true });
  assertServes(path.join(there, 'packaged.js'));
});

const PNP = ['-r', './.pnp.cjs'];

test("Yarn's Plug'n'Play unpacks the package", { skip }, t => {
  const cwd = withYarn(t);
  assert.ok(!fs.existsSync(path.join(cwd, 'node_modules')));
  assertServes('packaged.js', { cwd, nodeArgs: PNP });
  const register = succeed([...PNP, '-r', 'rust-cluster/register', 'served.js'], { cwd });
  assert.match(register, /"answers":\["worker 1","worker 2"\]/);
});

/** The package stays in its archive. */
const PACKED = { dependenciesMeta: { 'rust-cluster': { unplugged: false } } };

test("Yarn's Plug'n'Play, if it may not unpack it: it says what to do", { skip }, t => {
  const cwd = withYarn(t, PACKED);
  const { status, stderr } = run([...PNP, 'packaged.js'], { cwd });
  assert.equal(status, 1);
  assert.match(stderr, /ERR_RUST_CLUSTER_NO_BINARY/);
  assert.match(stderr, /To fix this, have the package unpacked/);
});

test('the package is in an archive that only the process itself can read, as those of Electron and pkg', {
  skip,
}, t => {
  const cwd = withYarn(t, PACKED);
  fs.copyFileSync(path.join(__dirname, 'programs', 'unpacks.js'), path.join(cwd, 'unpacks.js'));
  const temporary = path.join(cwd, 'tmp');
  fs.mkdirSync(temporary);
  assertServes('packaged.js', { cwd, nodeArgs: [...PNP, '-r', './unpacks.js'], env: { TMPDIR: temporary } });
  assert.deepEqual(fs.readdirSync(temporary), [], 'nothing is left there');
});
