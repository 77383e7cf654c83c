'use strict';

// A program that a bundler has made one file of: the package in it, with the addon beside it; or left outside.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const esbuild = require('esbuild');
const { copyPackage } = require('../support/copy');

const PROGRAM = `
  const cluster = require('rust-cluster');
  const net = require('node:net');
  if (cluster.isPrimary) {
    if (process.env.DEPTH) throw new Error('a worker takes itself for a primary');
    const worker = cluster.fork({ DEPTH: 1 });
    worker.on('listening', ({ port }) => {
      net.connect(port).on('data', data => { console.log(String(data)); worker.disconnect(); });
    });
  } else {
    net.createServer(socket => socket.end('worker ' + cluster.worker.id)).listen(0);
  }`;

function project(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bundling-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, 'app.js'), PROGRAM);
  copyPackage(path.join(folder, 'node_modules', 'rust-cluster'));
  return folder;
}

function bundle(folder, options) {
  const outfile = path.join(folder, 'out', 'app.js');
  const { warnings } = esbuild.buildSync({
    entryPoints: [path.join(folder, 'app.js')],
    bundle: true,
    platform: 'node',
    outfile,
    logLevel: 'silent',
    ...options,
  });
  assert.deepEqual(warnings, []);
  return outfile;
}

function run(file, env) {
  const options = { encoding: 'utf8', timeout: 20_000, env: { ...process.env, ...env } };
  const { stdout, stderr } = spawnSync(process.execPath, [file], options);
  return stdout || stderr;
}

test('the package is left outside of the bundle', t => {
  const folder = project(t);
  assert.equal(run(bundle(folder, { external: ['rust-cluster'] })), 'worker 1\n');
});

for (const minify of [false, true]) {
  test(`all in one${minify ? ', made small' : ''}: the addon lies beside it, and the package is gone`, t => {
    const folder = project(t);
    const file = bundle(folder, { minify, loader: { '.node': 'copy' } });
    fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
    assert.equal(run(file), 'worker 1\n');
  });
}

test('all in one, and RUST_CLUSTER_BINARY names the addon', t => {
  const folder = project(t);
  const file = bundle(folder, { external: ['*.node'] });
  const RUST_CLUSTER_BINARY = path.join(folder, 'node_modules', 'rust-cluster', 'rust-cluster.node');
  assert.equal(run(file, { RUST_CLUSTER_BINARY }), 'worker 1\n');
});

test('all in one, without the addon: it says what to do, and nothing of a build', t => {
  const folder = project(t);
  const file = bundle(folder, { external: ['*.node'] });
  fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
  const said = run(file);
  assert.match(said, /ERR_RUST_CLUSTER_NO_BINARY/);
  assert.match(said, /To mend it, have the bundler leave rust-cluster external/);
  assert.doesNotMatch(said, /npm run build/);
});
