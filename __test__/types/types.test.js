'use strict';

// The types, by the programs that compile against them and those that must not.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const cluster = require('rust-cluster');

const ROOT = path.join(__dirname, '..', '..');
/** The compilers, of which the native one is the fast one. */
const [TSC_6, TSC] = ['typescript', 'typescript-7'].map(name =>
  path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin', 'tsc'),
);
const PROGRAMS = path.join(__dirname, 'programs');
const OPTIONS = [
  '--noEmit',
  '--strict',
  '--module',
  'nodenext',
  '--target',
  'es2023',
  '--skipLibCheck',
  'false',
];

/** Compiles programs with the native compiler: see {@link compileWith}. */
const compile = (cwd, ...files) => compileWith(TSC, cwd, ...files);

/**
 * Compiles programs.
 *
 * @param {string} tsc
 * @param {string} cwd
 * @param {...string} files
 * @returns {Promise<string[]>} the errors: `FILE(LINE): CODE`, or a line as it is if it has no such place
 */
function compileWith(tsc, cwd, ...files) {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [tsc, ...OPTIONS, ...files], { cwd }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      const lines = (stdout + stderr).split('\n').filter(line => /^\S/.test(line));
      resolve(lines.map(line => line.replace(/^(.*)\((\d+),\d+\): error (TS\d+): .*$/, '$1($2): $3')));
    });
  });
}

/** A folder with this package's types in it, and no others, as an installation has them. */
function installation(context) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-types-'));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const own = path.join(folder, 'node_modules', 'rust-cluster');
  fs.mkdirSync(own, { recursive: true });
  for (const file of [
    'package.json',
    'bus.js',
    'bus.d.ts',
    'bus/socket.io.js',
    'bus/socket.io.d.ts',
    'index.js',
    'index.mjs',
    'index.d.ts',
    'index.d.mts',
    'register.js',
    'register.d.ts',
    'sticky.js',
    'sticky.d.ts',
  ]) {
    fs.cpSync(path.join(ROOT, file), path.join(own, file));
  }
  return folder;
}

test("Node's types and ours are assignable to each other", async () => {
  assert.deepEqual(await compile(PROGRAMS, 'equivalence.ts', 'equivalence.mts'), []);
  assert.deepEqual(await compileWith(TSC_6, PROGRAMS, 'equivalence.ts', 'equivalence.mts'), []);
});

test('programs compile, as CommonJS and ES modules', async () => {
  assert.deepEqual(await compile(PROGRAMS, 'primary.ts', 'worker.mts', 'supervisor.ts', 'bus.ts'), []);
});

test('wrong programs do not compile', async () => {
  const marks = fs
    .readFileSync(path.join(PROGRAMS, 'wrong.ts'), 'utf8')
    .split('\n')
    .map((line, place) => [place + 1, line.match(/\/\/ (TS\d+)$/)])
    .filter(([, mark]) => mark)
    .map(([line, mark]) => `wrong.ts(${line}): ${mark[1]}`);
  assert.ok(marks.length > 10);
  assert.deepEqual(await compile(PROGRAMS, 'wrong.ts'), marks);
});

test('a program compiles without @types/node', async context => {
  const folder = installation(context);
  fs.copyFileSync(path.join(PROGRAMS, 'alone.ts'), path.join(folder, 'alone.ts'));
  assert.deepEqual(await compile(folder, 'alone.ts'), []);
});

test('every member that the objects have is declared by our own file', async context => {
  const shown = name => name !== 'constructor' && !name.startsWith('_');
  const worker = new cluster.Worker({ process });
  const members = {
    cluster: Object.keys(cluster).filter(shown),
    worker: [...Object.keys(worker), ...Object.getOwnPropertyNames(cluster.Worker.prototype)].filter(shown),
  };
  assert.ok(members.cluster.includes('setupPrimary') && members.worker.includes('suicide'));
  const folder = installation(context);
  const lines = Object.entries(members).flatMap(([object, names]) => names.map(name => `${object}.${name};`));
  const head = "import cluster from 'rust-cluster';\ndeclare const worker: cluster.Worker;";
  fs.writeFileSync(path.join(folder, 'members.ts'), [head, ...lines].join('\n'));
  assert.deepEqual(await compile(folder, 'members.ts'), []);
});
