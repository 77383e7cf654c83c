'use strict';

// What require('rust-cluster') gives where there is no engine, and where another one is at work.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const root = path.join(__dirname, '..', '..');

function node(...args) {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: root });
  return { stdout: stdout.trim(), stderr: stderr.trim(), status };
}

/** A copy of the package without its addon. */
function withoutBinary(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  for (const name of ['index.js', 'register.js', 'package.json'])
    fs.copyFileSync(path.join(root, name), path.join(folder, name));
  fs.cpSync(path.join(root, 'lib'), path.join(folder, 'lib'), { recursive: true });
  return folder;
}

test('without a binary, require() says what was tried and what to do', t => {
  const folder = withoutBinary(t);
  const { stdout, status } = node(
    '-e',
    `try { require(${JSON.stringify(folder)}) } catch (error) { console.log(error.code + '\\n' + error.message) }`,
  );
  assert.equal(status, 0);
  assert.match(stdout, /^ERR_RUST_CLUSTER_NO_BINARY\n/);
  assert.ok(stdout.includes(path.join(folder, 'rust-cluster.node')), stdout);
  assert.ok(stdout.includes(`cd ${folder} && npm run build`), stdout);
});

test("of the platform packages it looks for that of this Node's C library", t => {
  const folder = withoutBinary(t);
  const tried = (...program) => {
    const [, ...lines] = node(
      '-e',
      `${program}; try { require(${JSON.stringify(folder)}) } catch (error) { console.log(error.message) }`,
    ).stdout.split('\n');
    return lines.filter(line => line.startsWith('  rust-cluster-')).map(line => line.trim());
  };
  const { glibcVersionRuntime } = process.report.getReport().header;
  const own = glibcVersionRuntime ? 'gnu' : 'musl';
  assert.deepEqual(tried(), [`rust-cluster-linux-${process.arch}-${own}`]);
  // As the file of a Node that was built for musl.
  const musl = path.join(folder, 'node');
  fs.writeFileSync(musl, '\x7fELF\0/lib/ld-musl-x86_64.so.1\0');
  const program = `process.execPath = ${JSON.stringify(musl)}`;
  assert.deepEqual(tried(program), [`rust-cluster-linux-${process.arch}-musl`]);
});

/** What require() says of the package in `folder`, with that in the environment. */
function refusal(folder, { env, cwd, args = [] } = {}) {
  const program = `try { require(${JSON.stringify(folder)}); console.log('loaded') } catch (error) { console.log(error.code + '\\n' + error.message) }`;
  const options = { encoding: 'utf8', cwd, env: { ...process.env, ...env } };
  const { stdout, signal } = spawnSync(process.execPath, [...args, '-e', program], options);
  assert.equal(signal, null, 'how the process ended');
  return stdout;
}

/** An addon that is none, and why. */
const BROKEN = {
  'cut off': [addon => addon.subarray(0, addon.length / 2), /it is cut off: \d+ of \d+ bytes/],
  'cut off by a byte': [addon => addon.subarray(0, -1), /it is cut off: \d+ of \d+ bytes/],
  empty: [() => Buffer.alloc(0), /it is no addon \(0 bytes\)/],
  'a text': [() => Buffer.from('version https://example.org/spec/v1'), /it is no addon \(35 bytes\)/],
  'for another processor': [
    addon => withMachine(addon, process.arch === 'arm64' ? 62 : 183),
    /it is for (x64|arm64), and this is/,
  ],
  'of another version': [
    addon => replaced(addon, require('../../package.json').version, '9.9.9'),
    /it is of version/,
  ],
};

function withMachine(addon, machine) {
  addon.writeUInt16LE(machine, 18);
  return addon;
}

function replaced(addon, text, other) {
  for (let at = addon.indexOf(text); at >= 0; at = addon.indexOf(text, at + 1)) addon.write(other, at);
  return addon;
}

for (const [what, [make, says]] of Object.entries(BROKEN)) {
  test(`an addon that is ${what} is refused, and nothing worse happens`, t => {
    const folder = withoutBinary(t);
    const addon = fs.readFileSync(path.join(root, 'rust-cluster.node'));
    fs.writeFileSync(path.join(folder, 'rust-cluster.node'), make(addon));
    const said = refusal(folder);
    assert.match(said, /^ERR_RUST_CLUSTER_NO_BINARY\n/);
    assert.match(said, says);
  });
}

test('RUST_CLUSTER_BINARY is relative to the working directory, and the only place that is looked at', t => {
  const folder = withoutBinary(t);
  const relative = { env: { RUST_CLUSTER_BINARY: './rust-cluster.node' } };
  assert.equal(refusal(folder, { ...relative, cwd: root }), 'loaded\n');
  const said = refusal(root, { ...relative, cwd: folder });
  assert.ok(said.includes(`  ${path.join(folder, 'rust-cluster.node')}\n    it is not there\n`), said);
  assert.match(said, /set RUST_CLUSTER_BINARY to an addon/);
});

test('where Node may load no addons, that is what it says', () => {
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  for (const args of [['--no-addons'], [permission, '--allow-fs-read=*']])
    assert.match(refusal(root, { args }), /To fix this, allow native addons: .*--no-addons.*--allow-addons/);
});

test('Bun and Deno have their own cluster, with one warning', () => {
  for (const runtime of ['bun', 'deno']) {
    const program = `
      Object.defineProperty(process, 'versions', { value: { ...process.versions, ${runtime}: '1' } });
      const own = require('node:cluster');
      const { fork } = own;
      process.on('warning', ({ code, message }) => console.log(code, message.match(/loaded on (\\w+)/)[1]));
      console.log(require('./index.js') === own && own.fork === fork);
      require('./register.js');`;
    const { stdout, status } = node('-e', program);
    assert.equal(status, 0);
    const name = runtime[0].toUpperCase() + runtime.slice(1);
    assert.deepEqual(stdout.split('\n'), ['true', `ERR_RUST_CLUSTER_UNSUPPORTED ${name}`]);
  }
});

test("on another platform it is Node's own cluster, with one warning", () => {
  const program = `
    Object.defineProperty(process, 'platform', { value: 'sunos' });
    const own = require('node:cluster');
    const { fork } = own;
    process.on('warning', ({ code }) => console.log(code));
    console.log(require('./index.js') === own && own.fork === fork);
    require('./register.js');`;
  const { stdout, status } = node('-e', program);
  assert.equal(status, 0);
  assert.deepEqual(stdout.split('\n'), ['true', 'ERR_RUST_CLUSTER_UNSUPPORTED']);
});

test("loaded after Node's own cluster has forked, it refuses", () => {
  const program = `
    const cluster = require('node:cluster');
    cluster.setupPrimary({ exec: ${JSON.stringify(path.join(root, 'biome.json'))}, silent: true });
    cluster.fork();
    try { require('./index.js') } catch (error) { console.log(error.code) }
    process.exit();`;
  assert.equal(node('-e', program).stdout, 'ERR_RUST_CLUSTER_TOO_LATE');
});

test("in a worker of Node's own cluster it is that cluster", () => {
  const program = `
    const cluster = require('node:cluster');
    if (cluster.isPrimary) cluster.fork();
    else { console.log(require(${JSON.stringify(root)}) === cluster && cluster.isWorker); process.disconnect(); }`;
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-')), 'program.js');
  fs.writeFileSync(file, program);
  assert.equal(node(file).stdout, 'true');
  fs.rmSync(path.dirname(file), { recursive: true });
});

test('every way in gives one and the same object', () => {
  const program = `
    const cluster = require('rust-cluster');
    console.log(cluster === require('cluster'), cluster === require('node:cluster'));
    import('rust-cluster').then(({ default: imported, fork }) => console.log(imported === cluster, fork === cluster.fork));`;
  assert.equal(node('-e', program).stdout, 'true true\ntrue true');
  const preloaded = "console.log(require('cluster').setupPrimary === require('rust-cluster').setupPrimary)";
  assert.equal(node('-r', './register.js', '-e', preloaded).stdout, 'true');
  assert.equal(node('--import', './register.js', '-e', preloaded).stdout, 'true');
});
