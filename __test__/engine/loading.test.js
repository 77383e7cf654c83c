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
