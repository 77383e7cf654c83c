'use strict';

// Programs that people run their own under, as packages: launchers, coverage, test runners, an APM agent.
// npm ci --prefix __test__/ways/tools installs them.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { assertSame, REGISTER, ROOT, SERVED } = require('./program');

const TOOLS = path.join(__dirname, 'tools', 'node_modules');
const PROGRAMS = path.join(__dirname, 'programs');
const NODE = process.execPath;
const skip = !fs.existsSync(TOOLS) && 'not installed: npm ci --prefix __test__/ways/tools';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-tools-'));
after(() => fs.rmSync(folder, { recursive: true }));

const tool = (...parts) => path.join(TOOLS, ...parts);

/** As process.execPath has it, and what the test runners start has not: their environment. */
function environment(own) {
  const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...env } = process.env;
  return { ...env, PACKAGE: ROOT, PRELOAD: REGISTER, NODE, ...own };
}

function succeeds(args, env) {
  const { status, stdout, stderr } = spawnSync(NODE, args, {
    cwd: PROGRAMS,
    encoding: 'utf8',
    env: environment(env),
    timeout: 120_000,
  });
  assert.equal(status, 0, stdout + stderr);
  return stdout + stderr;
}

test('ts-node', { skip }, () =>
  assertSame({
    command: preload => [
      NODE,
      '-r',
      preload,
      tool('ts-node', 'dist', 'bin.js'),
      path.join(PROGRAMS, 'typed.ts'),
    ],
    env: () => ({
      TS_NODE_TRANSPILE_ONLY: '1',
      TS_NODE_SKIP_PROJECT: '1',
      TS_NODE_COMPILER: tool('typescript'),
      TS_NODE_COMPILER_OPTIONS: '{"module":"commonjs"}',
    }),
  }),
);

test('tsx', { skip }, () =>
  assertSame({
    command: () => [NODE, path.join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs'), SERVED],
    env: preload => ({ NODE_OPTIONS: `--require ${JSON.stringify(preload)}` }),
  }),
);

test('nyc', { skip }, () =>
  assertSame({
    command: preload => [
      ...[NODE, tool('nyc', 'bin', 'nyc.js'), '--silent', '--temp-dir', path.join(folder, 'nyc')],
      ...['--cwd', PROGRAMS, NODE, '-r', preload, SERVED],
    ],
  }),
);

test('elastic-apm-node', { skip }, () => {
  // It sends to nobody: the address is one of this machine where nobody listens.
  const env = {
    ELASTIC_APM_SERVER_URL: 'http://127.0.0.1:9',
    ELASTIC_APM_CENTRAL_CONFIG: 'false',
    ELASTIC_APM_CLOUD_PROVIDER: 'none',
    ELASTIC_APM_LOG_LEVEL: 'off',
  };
  const start = tool('elastic-apm-node', 'start.js');
  for (const order of ['before', 'after']) {
    assertSame({
      command: preload => {
        const preloads = order === 'before' ? [start, preload] : [preload, start];
        return [NODE, ...preloads.flatMap(file => ['-r', file]), SERVED];
      },
      env: () => env,
    });
  }
});

test('Jest', { skip }, () => {
  const config = { rootDir: PROGRAMS, testEnvironment: 'node', cacheDirectory: path.join(folder, 'jest') };
  succeeds([tool('jest', 'bin', 'jest.js'), '--config', JSON.stringify(config), 'client.test.js']);
});

for (const pool of ['forks', 'threads']) {
  test(`Vitest, ${pool}`, { skip }, () => {
    const args = ['run', '--globals', `--pool=${pool}`, '--root', PROGRAMS, 'client.test.js'];
    succeeds([tool('vitest', 'vitest.mjs'), ...args]);
  });
}
