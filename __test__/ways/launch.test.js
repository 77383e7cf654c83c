'use strict';

// Ways to start a program other than options of Node: in each it runs on rust-cluster as it does on Node's own cluster.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { pathToFileURL } = require('node:url');
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
  const first = await consecutivePorts(3);
  for (const preload of [CONTROL, REGISTER]) {
    const { stdout, stderr } = once(preload, { flags: [`--inspect=127.0.0.1:${first}`] });
    assert.match(stdout, /^result /m, stderr);
    const ports = [...stderr.matchAll(/listening on ws:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) =>
      Number(port),
    );
    assert.deepEqual(ports.sort(), [first, first + 1, first + 2], stderr);
  }
});

/** The first of so many free ports in a row, below those that the kernel gives to whoever asks for any port. */
async function consecutivePorts(count) {
  const [lowest] = fs
    .readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
    .split(/\s+/)
    .map(Number);
  const opened = [];
  for (let port = lowest - 1; port > 1024; port -= 1) {
    const server = net.createServer().listen(port, '127.0.0.1');
    const free = await new Promise(resolve => {
      server.once('listening', () => resolve(true)).once('error', () => resolve(false));
    });
    opened.push(server);
    if (!free) for (const other of opened.splice(0)) other.close();
    if (opened.length === count) {
      await Promise.all(opened.map(other => new Promise(resolve => other.close(resolve))));
      return port;
    }
  }
  throw new Error(`no ${count} free ports in a row`);
}

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
