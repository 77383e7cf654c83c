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
