'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { run } = require('../support/program');
const { example, whoAnswers, COUNT, EXAMPLES, IDS } = require('./example');

const ROOT = path.join(EXAMPLES, '..');

test('es-module.mjs: every worker answers', () =>
  example('es-module.mjs', {}, async (program, port) => {
    await program.lines(/^worker \d+ listens$/, COUNT);
    assert.deepEqual(await whoAnswers(port), IDS);
  }));

/** What a run of typescript.mts must show, of the source or of what it compiles to. */
async function assertReports(program, port) {
  assert.deepEqual(await whoAnswers(port), IDS);
  const reports = await program.lines(/^worker (\d+) answers \/$/, COUNT);
  assert.deepEqual(reports.map(([, id]) => Number(id)).sort(), IDS);
}

test('typescript.mts: it compiles, and every worker answers', async context => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const tsc = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const options = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--rootDir',
    EXAMPLES,
    '--outDir',
    folder,
  ];
  execFileSync(process.execPath, [tsc, ...options, path.join(EXAMPLES, 'typescript.mts')]);
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'rust-cluster'));
  await run(path.join(folder, 'typescript.mjs'), { env: { PORT: 0 } }, async program => {
    const [{ address }] = await program.events('listening', COUNT);
    await assertReports(program, address.port);
  });
});

const skip = !process.features.typescript && 'this Node runs no TypeScript';
test('typescript.mts: it runs as it is', { skip }, () =>
  example('typescript.mts', { stderr: /ExperimentalWarning|--trace-warnings/ }, assertReports),
);
