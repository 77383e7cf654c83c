'use strict';

// Ways to start a program other than options of Node: in each it runs on rust-cluster as it does on Node's own cluster.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { freePorts } = require('../support/free-port');
const { assertSame, once, CONTROL, REGISTER, ROOT, SERVED } = require('./program');

const [major] = process.versions.node.split('.').map(Number);
const NODE = process.execPath;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-launch-'));
after(() => fs.rmSync(folder, { recursive: true }));

test('NODE_OPTIONS=--require', () =>
  assertSame({
    command: () => [NODE, SERVED, 'an argument'],
    env: preload => ({ NODE_OPTIONS: `--require ${JSON.stringify(preload)} --max-old-space-size=128` }),
  }));

test('other files that NODE_OPTIONS and the command line load, before and after', () => {
  const [one, two] = ['preload-1.js', 'preload-2.js'].map(name => path.join(__dirname, 'programs', name));
  for (const order of [preload => [one, preload, two], preload => [preload, two, one]]) {
    const options = preload => order(preload).map(file => `--require=${file}`);
    assertSame({
      command: () => [NODE, SERVED],
      env: preload => ({ NODE_OPTIONS: options(preload).join(' ') }),
    });
    assertSame({ command: preload => [NODE, ...options(preload), SERVED] });
    assertSame({
      command: preload => [NODE, '--require', preload, SERVED],
      env: () => ({ NODE_OPTIONS: `--require ${two} --require ${one}` }),
    });
  }
});

test('NODE_OPTIONS=--import', () =>
  assertSame({
    command: () => [NODE, SERVED],
    env: preload => ({ NODE_OPTIONS: `--import ${pathToFileURL(preload)}` }),
  }));

test('--import', () =>
  assertSame({ command: preload => [NODE, '--import', pathToFileURL(preload).href, SERVED] }));

test('the program is required by another one', () =>
  assertSame({ program: path.join(__dirname, 'programs', 'requires.js') }));

test('the working directory is another one', () => assertSame({ cwd: folder }));

test('NODE_V8_COVERAGE', () => {
  const coverage = path.join(folder, 'coverage');
  assertSame({ env: () => ({ NODE_V8_COVERAGE: coverage }) });
  const files = fs.readdirSync(coverage).filter(name => name.startsWith('coverage-'));
  assert.ok(files.length >= 6, `a file of each process, of both runs: ${files}`);
});

test('--inspect: each worker has a port of its own', async () => {
  const ports = await freePorts(3);
  for (const preload of [CONTROL, REGISTER]) {
    const { stdout, stderr } = once(preload, { flags: [`--inspect=127.0.0.1:${ports[0]}`] });
    assert.match(stdout, /^result /m, stderr);
    const taken = [...stderr.matchAll(/listening on ws:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) =>
      Number(port),
    );
    assert.deepEqual(taken.sort(), ports, stderr);
  }
});

test('a snapshot of the heap', () => {
  const blob = path.join(folder, 'app.blob');
  const entry = path.join(folder, 'entry.js');
  // What a snapshot holds has no modules but Node's own: the program is loaded as it starts.
  fs.writeFileSync(
    entry,
    `require('node:v8').startupSnapshot.setDeserializeMainFunction(() => {
      const { createRequire } = require('node:module');
      createRequire(process.argv[1])(process.argv[1]);
    });`,
  );
  const built = spawnSync(NODE, ['--snapshot-blob', blob, '--build-snapshot', entry], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  // Workers get the option too.
  assertSame({ command: preload => [NODE, '--snapshot-blob', blob, '-r', preload, SERVED] });
});

const unshare = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']);
const noNamespace = unshare.status !== 0 && 'no PID namespace can be made here';
test('as process 1 of a PID namespace', { skip: noNamespace }, () =>
  assertSame({
    command: preload => ['unshare', '--pid', '--fork', '--mount-proc', NODE, '-r', preload, SERVED],
  }),
);

const permission = major >= 24 ? '--permission' : '--experimental-permission';
test('--permission, with all that a cluster needs', () => {
  const flags = [
    permission,
    '--allow-fs-read=*',
    '--allow-child-process',
    '--no-warnings',
    '--allow-addons',
    ...(major >= 25 ? ['--allow-net'] : []),
  ];
  assertSame({ flags });
});

test('under node --test', () => {
  const { status, stdout, stderr } = spawnSync(
    NODE,
    ['--test', path.join(__dirname, 'programs', 'client.test.js')],
    { encoding: 'utf8', env: clientEnv() },
  );
  assert.equal(status, 0, stdout + stderr);
});

/** The environment for programs/client.js. */
function clientEnv() {
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  return { ...env, PACKAGE: ROOT, PRELOAD: REGISTER, NODE };
}
