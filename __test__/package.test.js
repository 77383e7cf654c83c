'use strict';

// What must agree between the manifests and the workflows. The tarball's contents: install/install.slow.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const manifest = require('../package.json');

const read = file => fs.readFileSync(path.join(__dirname, '..', file), 'utf8');

test('npm and cargo know the same version', () => {
  assert.equal(read('Cargo.toml').match(/^version = "(.*)"$/m)[1], manifest.version);
  assert.equal(require('../lib/native').VERSION, manifest.version);
  assert.equal(read('Cargo.lock').match(/^name = "rust-cluster"\nversion = "(.*)"$/m)[1], manifest.version);
});

test('a release builds all targets, and no others', () => {
  const built = [...read('.github/workflows/release.yml').matchAll(/ target: (\S+) /g)].map(
    ([, name]) => name,
  );
  assert.deepEqual(built.sort(), manifest.napi.targets.toSorted());
});

test('bundlers and file tracers find every addon that is released by a literal name', () => {
  const named = [...read('lib/native.js').matchAll(/require\('(?:rust-cluster-)([\w-]+)'\)/g)].map(
    ([, name]) => name,
  );
  const targets = manifest.napi.targets.map(target => {
    const [arch, , , libc] = target.split('-');
    return `linux-${{ x86_64: 'x64', aarch64: 'arm64' }[arch]}-${libc}`;
  });
  assert.deepEqual(named.sort(), targets.sort());
  assert.match(read('lib/native.js'), /require\('\.\.\/rust-cluster\.node'\)/);
});

test('the package can be installed everywhere, and asks for no package that is not published', () => {
  const { os, cpu, dependencies, optionalDependencies } = manifest;
  assert.deepEqual(
    { os, cpu, dependencies, optionalDependencies },
    {
      os: undefined,
      cpu: undefined,
      dependencies: undefined,
      optionalDependencies: undefined,
    },
  );
});

test('the lock is of this manifest, so that npm install leaves it as it is', () => {
  const [locked] = Object.values(JSON.parse(read('package-lock.json')).packages);
  for (const name of ['name', 'version', 'bin', 'engines', 'dependencies', 'devDependencies'])
    assert.deepEqual(locked[name], manifest[name], name);
});

test('what a worker loads is ASCII: V8 keeps any other text with two bytes a character', () => {
  const files = [
    'index.js',
    'register.js',
    ...fs
      .readdirSync(path.join(__dirname, '../lib'), { recursive: true })
      .filter(name => name.endsWith('.js'))
      .map(name => `lib/${name}`),
  ];
  for (const file of files) assert.doesNotMatch(read(file), /[^\0-\x7f]/, file);
});

test('the addon is linked as Node is: nothing is looked up later, and what was is read-only', () => {
  const addon = fs.readFileSync(path.join(__dirname, '../rust-cluster.node'));
  // ELF of 64 bits, little-endian: both processors that are built for. The segments' headers, their size and number.
  const [headers, size, count] = [
    Number(addon.readBigUInt64LE(32)),
    addon.readUInt16LE(54),
    addon.readUInt16LE(56),
  ];
  const segments = Array.from({ length: count }, (_, index) => addon.subarray(headers + index * size));
  const [RELRO, DYNAMIC, FLAGS_1, NOW] = [0x6474e552, 2, 0x6ffffffbn, 1n];
  const segment = type => segments.find(header => header.readUInt32LE(0) === type);
  assert.ok(segment(RELRO), 'a segment that is read-only once it is relocated');
  const [start, length] = [8, 32].map(at => Number(segment(DYNAMIC).readBigUInt64LE(at)));
  const entries = new Map();
  for (let at = start; at < start + length; at += 16)
    entries.set(addon.readBigUInt64LE(at), addon.readBigUInt64LE(at + 8));
  assert.equal(entries.get(FLAGS_1) & NOW, NOW);
});
