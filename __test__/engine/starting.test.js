'use strict';

// A worker is one wherever its files lie, whatever has become of them since the primary started, and however Node is
// started. Where it cannot be one it says why: it never takes itself for a primary.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { copyPackage } = require('../support/copy');
const way = require('../support/way');

const PROGRAMS = path.join(__dirname, 'programs', 'starting');
const CLUSTER = way === 'node' ? 'node:cluster' : 'rust-cluster';
const ours = way === 'node' && 'the control needs no files';
const WATCHDOG = 120_000;

function folder(t) {
  const made = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'starting-')));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A folder with programs, and with the package in its node_modules. */
function project(t, name = '.') {
  const made = path.join(folder(t), name);
  fs.mkdirSync(made, { recursive: true });
  fs.cpSync(PROGRAMS, made, { recursive: true });
  copyPackage(path.join(made, 'node_modules', 'rust-cluster'));
  return made;
}

/** Runs a program to its end, and all that it has started. */
async function run(args, { cwd, env, execPath = process.execPath } = {}) {
  const { NODE_OPTIONS, ...rest } = process.env;
  const child = spawn(execPath, args, { cwd, detached: true, env: { ...rest, ...env } });
  const kill = () => process.kill(-child.pid, 'SIGKILL');
  const watchdog = setTimeout(kill, WATCHDOG);
  const output = { stdout: '', stderr: '' };
  for (const name of Object.keys(output)) {
    child[name].setEncoding('utf8').on('data', text => {
      output[name] += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  clearTimeout(watchdog);
  return { code: signal ?? code, ...output };
}

/** Runs report.js: what its worker has said. */
async function report(args, options) {
  const { stdout, stderr, code } = await run(args, options);
  assert.equal(code, 0, stderr);
  const [facts, end, ...more] = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  assert.deepEqual([end, more], [{ exit: 0 }, []], `${stdout}\n${stderr}`);
  assert.deepEqual([facts.id, facts.same], [1, true]);
  return facts;
}

/** What register does not change in a worker. */
const UNTOUCHED = { variables: [], preloads: [], files: [] };

test("workers have Node's command line, and user code sees no trace of ours", async t => {
  const cwd = project(t);
  const settings = { execArgv: ['--stack-size=900'], args: ['-x', 'y z'] };
  const env = { LOAD: CLUSTER, SETTINGS: JSON.stringify(settings), NODE_OPTIONS: '--no-warnings' };
  const facts = await report(['report.js'], { cwd, env });
  assert.deepEqual(facts, {
    ...UNTOUCHED,
    id: 1,
    same: true,
    cwd,
    execArgv: settings.execArgv,
    argv: settings.args,
    nodeOptions: '--no-warnings',
    session: true,
    commandLine: [process.execPath, '--stack-size=900', path.join(cwd, 'report.js'), '-x', 'y z'],
  });
});

test('members of setupPrimary() that Node does not hand on have no effect', async t => {
  const cwd = project(t);
  const foreign = {
    timeout: 1,
    killSignal: 'SIGKILL',
    execPath: '/nonexistent',
    argv0: 'other',
    detached: true,
    shell: true,
    env: { NOT: 'mine' },
  };
  for (const [name, value] of Object.entries(foreign)) {
    const env = { LOAD: CLUSTER, SETTINGS: JSON.stringify({ [name]: value }) };
    const { commandLine, session } = await report(['report.js'], { cwd, env });
    assert.deepEqual([commandLine[0], session], [process.execPath, true], name);
  }
});

// As the README has it, and with the program in another working directory than its workers.
for (const moved of ['CHDIR', 'SETTINGS']) {
  const there = { CHDIR: '/', SETTINGS: JSON.stringify({ cwd: '/' }) }[moved];
  for (const option of ['-r', '--require', '--import']) {
    test(`${option} rust-cluster/register: workers run in / (${moved})`, { skip: ours }, async t => {
      const cwd = project(t);
      const file = path.join(cwd, 'report.js');
      const { execArgv, commandLine, ...facts } = await report([option, 'rust-cluster/register', file], {
        cwd,
        env: { [moved]: there },
      });
      assert.deepEqual(
        { cwd: facts.cwd, execArgv },
        { cwd: '/', execArgv: [option, 'rust-cluster/register'] },
      );
      assert.deepEqual(commandLine, [process.execPath, file]);
    });
  }

  test(`NODE_OPTIONS=-r rust-cluster/register: workers run in / (${moved})`, { skip: ours }, async t => {
    const cwd = project(t);
    const file = path.join(cwd, 'report.js');
    const NODE_OPTIONS = '--no-warnings  -r rust-cluster/register "--title=a b"';
    const facts = await report([file], { cwd, env: { NODE_OPTIONS, [moved]: there } });
    assert.deepEqual([facts.cwd, facts.nodeOptions], ['/', NODE_OPTIONS]);
  });
}

test('register by a relative path, and by the URL of a file', { skip: ours }, async t => {
  const cwd = project(t);
  const relative = './node_modules/rust-cluster/register.js';
  for (const name of [relative, `file://${path.join(cwd, relative)}`]) {
    const facts = await report(['--import', name, path.join(cwd, 'report.js')], { cwd, env: { CHDIR: '/' } });
    assert.deepEqual([facts.cwd, facts.execArgv], ['/', ['--import', name]]);
  }
});

test('what else is preloaded is preloaded in workers too, after they have become workers', async t => {
  const cwd = project(t);
  const preload = path.join(cwd, 'other preload.js');
  fs.writeFileSync(
    preload,
    `if (process.env.DEPTH) console.log(JSON.stringify({ worker: require('node:cluster').isWorker }));`,
  );
  const env = { LOAD: CLUSTER, NODE_OPTIONS: `--require "${preload}"` };
  const { stdout } = await run(['--require', preload, 'report.js'], { cwd, env });
  const [first, facts] = stdout.split('\n').map(line => line && JSON.parse(line));
  assert.deepEqual(first, { worker: true });
  assert.deepEqual(
    [facts.nodeOptions, facts.execArgv, facts.preloads],
    [env.NODE_OPTIONS, ['--require', preload], [preload, preload]],
  );
});

for (const name of [
  'a b',
  `it's "quoted"`,
  'back\\slash',
  'new\nline',
  'tab\there',
  'ünïcödé-日本',
  '$HOME `x` *',
  '%20#?',
]) {
  test(`the package lies in ${JSON.stringify(name)}`, { skip: ours }, async t => {
    const cwd = project(t, name);
    // Node itself finds no package by its name beside a backslash.
    const LOAD = path.join(cwd, 'node_modules', 'rust-cluster', 'index.js');
    await report(['report.js'], { cwd, env: { LOAD } });
  });
}

test('a release is replaced, and its files with it: new workers run the new program, with the code of the primary', async t => {
  const base = folder(t);
  for (const release of ['first', 'second']) {
    const made = path.join(base, release);
    fs.cpSync(PROGRAMS, made, { recursive: true });
    copyPackage(path.join(made, 'node_modules', 'rust-cluster'));
  }
  if (way === 'rust') spoil(path.join(base, 'second', 'node_modules', 'rust-cluster'));
  fs.symlinkSync('first', path.join(base, 'current'));
  const env = { LOAD: CLUSTER, BASE: base };
  const { code, stdout, stderr } = await run([path.join(base, 'current', 'release.js')], { cwd: base, env });
  assert.equal(stdout, 'worker 1: first\nworker 2: second\n', stderr);
  assert.equal(code, 0);
});

test('a release is removed: threads of its workers', async t => {
  const cwd = project(t);
  const env = { LOAD: CLUSTER, RELEASE: cwd };
  const { code, stdout, stderr } = await run(['threads.js'], { cwd, env });
  assert.equal(code, 0, stderr);
  const said = JSON.parse(stdout);
  // Threads inherit the options of Node, and so the file that has made the worker one, if it is not there in a copy.
  const inherits = way === 'node' ? 'started' : 'MODULE_NOT_FOUND';
  const warning = way === 'node' ? [] : ['ERR_RUST_CLUSTER_NO_THREAD'];
  assert.deepEqual(said, {
    before: { worker: 1, inherits: 'started', shares: 'started', own: 'started', warnings: [] },
    after: { worker: 1, inherits, shares: inherits, own: 'started', warnings: [...warning, ...warning] },
    later: { worker: 2, inherits: 'started', shares: 'started', own: 'started', warnings: [] },
  });
});

/** As if the new release had another version, which nothing of may be run but index.js. */
function spoil(folder) {
  for (const file of fs.readdirSync(path.join(folder, 'lib'), { recursive: true })) {
    if (file.endsWith('.js') && !file.endsWith('preload.js'))
      fs.writeFileSync(
        path.join(folder, 'lib', file),
        `throw new Error('${file} of another version was loaded');`,
      );
  }
  fs.writeFileSync(path.join(folder, 'rust-cluster.node'), 'another version');
}

/** A script that is to be process.execPath. */
function launcher(t, ...lines) {
  const file = path.join(folder(t), 'launcher');
  fs.writeFileSync(file, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return file;
}

const NODE = `"${process.execPath}"`;

/** Everything but the first is hard on whoever looks at the command line, or at the process id. */
const LAUNCHERS = {
  'adds an option': [`exec ${NODE} --stack-size=900 "$@"`],
  'asks Node something first': [`${NODE} -p 1 >&2; ${NODE} -e '' || exit 1`, `exec ${NODE} "$@"`],
  'stays beside it': [`${NODE} "$@"`],
};

for (const [what, lines] of Object.entries(LAUNCHERS)) {
  test(`a launcher that ${what} starts a worker`, async t => {
    const cwd = project(t);
    const env = { LOAD: CLUSTER, LAUNCHER: launcher(t, ...lines), NODE_OPTIONS: '--no-warnings' };
    const facts = await report(['report.js'], { cwd, env });
    assert.deepEqual(facts.variables, []);
    assert.equal(facts.nodeOptions, '--no-warnings');
  });
}

test('where NODE_OPTIONS is not heeded, require() makes the worker', { skip: ours }, async t => {
  const cwd = project(t);
  const env = { LOAD: CLUSTER, LAUNCHER: launcher(t, 'unset NODE_OPTIONS', `exec ${NODE} "$@"`) };
  const facts = await report(['report.js'], { cwd, env });
  assert.deepEqual([facts.variables, facts.execArgv], [[], []]);
});

test('where NODE_OPTIONS is not heeded, and nobody loads the package, there is no second primary', {
  skip: ours,
}, async t => {
  const cwd = project(t);
  const env = { LAUNCHER: launcher(t, 'unset NODE_OPTIONS', `exec ${NODE} "$@"`) };
  const { stdout, stderr } = await run(['-r', 'rust-cluster/register', 'report.js'], { cwd, env });
  // It is a worker that nobody has told who it is.
  assert.match(stderr, /TypeError/);
  assert.equal(stdout, '{"exit":1}\n');
});

const FORGETFUL = {
  'closes descriptors': 'exec 3>&- 4>&- 5>&- 6>&-',
  'uses their numbers': 'exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null',
  'closes the channel alone': 'exec 3>&-',
  'uses the number of the queue': 'exec 4<>/dev/null',
};

for (const [what, line] of Object.entries(FORGETFUL)) {
  test(`a launcher that ${what}: the worker says why it is none`, { skip: ours }, async t => {
    for (const option of ['', 'unset NODE_OPTIONS;']) {
      const cwd = project(t);
      const env = { LOAD: CLUSTER, LAUNCHER: launcher(t, `${option} ${line}`, `exec ${NODE} "$@"`) };
      const { stdout, stderr } = await run(['report.js'], { cwd, env });
      assert.equal(stdout, '{"exit":1}\n');
      assert.match(stderr, /descriptor \d is not what the primary has given/);
      assert.match(stderr, /ERR_RUST_CLUSTER_BAD_START/);
    }
  });
}

/** Forks as long as it takes itself for a primary, whatever require() says. */
const FORKS = `
  require('node:fs').appendFileSync(process.env.STARTS, 'x');
  let cluster;
  try { cluster = require('rust-cluster') } catch (error) { console.log(error.code); cluster = require('node:cluster') }
  if (cluster.isPrimary) cluster.fork().on('exit', () => {});
  else process.disconnect();`;

for (const word of [
  '1',
  'x',
  '1:3:4:json',
  '0.1.0 1 0 json - - - 3:1 4:2 -',
  '0.1.0 1 0 json - 3:1:1 4:2:1 /no such/file.node 5:3 - -',
  '9.9.9 1 0 json - - - 1:1 - -',
  '0.1.0 1 0 json - - - - - -',
  '0.1.0 1 0 json - - - x - -',
]) {
  test(`RUST_CLUSTER_WORKER=${word}, by hand: an error, and no fork without end`, { skip: ours }, async t => {
    const cwd = project(t);
    const env = { RUST_CLUSTER_WORKER: word, STARTS: path.join(cwd, 'starts') };
    fs.writeFileSync(path.join(cwd, 'forks.js'), FORKS);
    const caught = await run(['forks.js'], { cwd, env });
    assert.match(caught.stdout, /^(ERR_RUST_CLUSTER_BAD_START\n)+$/);
    // The program, which goes on with Node's own cluster, and its worker.
    assert.equal(fs.readFileSync(env.STARTS, 'utf8'), 'xx');
    const preloaded = await run(['-r', 'rust-cluster/register', 'forks.js'], { cwd, env });
    assert.match(preloaded.stderr, /ERR_RUST_CLUSTER_BAD_START/);
    assert.deepEqual([preloaded.code, fs.readFileSync(env.STARTS, 'utf8')], [1, 'xx']);
  });
}

test('--preserve-symlinks, and the package is a link', async t => {
  const cwd = project(t);
  const link = path.join(cwd, 'node_modules', 'rust-cluster');
  const there = path.join(folder(t), 'elsewhere');
  fs.renameSync(link, there);
  fs.symlinkSync(there, link);
  for (const env of [{ LOAD: CLUSTER }, { LOAD: CLUSTER, NODE_OPTIONS: '--preserve-symlinks' }])
    await report(['--preserve-symlinks', 'report.js'], { cwd, env });
});

const needsRoot = process.getuid() !== 0 && 'only root can become another user';

test('the workers are of a user who may not read the package', { skip: ours || needsRoot }, async t => {
  const cwd = project(t);
  const there = path.join(folder(t), 'secret');
  fs.renameSync(path.join(cwd, 'node_modules'), there);
  fs.chmodSync(path.dirname(there), 0o700);
  fs.chmodSync(cwd, 0o755);
  const register = path.join(there, 'rust-cluster', 'register.js');
  const temporary = folder(t);
  fs.chmodSync(temporary, 0o755);
  const env = { SETTINGS: JSON.stringify({ uid: 65534, gid: 65534 }), TMPDIR: temporary };
  await report(['-r', register, 'report.js'], { cwd, env });
  assert.deepEqual(fs.readdirSync(temporary), [], 'nothing is left there');
});

test('what a worker may load is in the list of what it is given', () => {
  const { NAMES } = require('../../lib/cluster/start_of_workers');
  const lib = path.join(__dirname, '..', '..', 'lib');
  const words = [...NAMES, 'native'].map(name => path.basename(name));
  assert.equal(new Set(words).size, words.length, 'the last word of a name says which module it is');
  for (const name of NAMES) {
    const source = fs.readFileSync(path.join(lib, `${name}.js`), 'utf8');
    for (const [, request] of source.matchAll(/require\('(\.[^']*)'\)/g)) {
      const needed = path.join(path.dirname(name), request);
      // The addon comes by a descriptor of its own.
      assert.ok(NAMES.includes(needed) || needed === 'native', `${name} requires ${needed}`);
    }
  }
});

test('a worker compiles no function of ours until it listens', { skip: ours }, async t => {
  const cwd = project(t);
  fs.writeFileSync(
    path.join(cwd, 'compiled.js'),
    `const cluster = require('rust-cluster');
    if (cluster.isPrimary) cluster.fork().on('message', pid => console.log(pid));
    // Not by process.exit(), for which there is more code.
    else require('node:net').createServer().listen(0, () => process.send(process.pid, () => process.reallyExit(0)));`,
  );
  const log = ['--log-function-events', '--no-logfile-per-isolate', '--logfile=%p.log'];
  const { stdout, stderr } = await run([...log, 'compiled.js'], { cwd });
  assert.match(stdout, /^\d+\n$/, stderr);
  const [primary] = fs
    .readdirSync(cwd)
    .filter(file => /^\d+\.log$/.test(file) && file !== `${stdout.trim()}.log`);
  const compiled = file =>
    functionsCompiled(path.join(cwd, file)).filter(name => /\/(channel|child)\.js /.test(name));
  assert.notDeepEqual(compiled(primary), [], 'the log says what was compiled');
  assert.deepEqual(compiled(`${stdout.trim()}.log`), []);
});

/** The functions that V8 says to have compiled in a process: by their file and place in it. */
function functionsCompiled(log) {
  const lines = fs
    .readFileSync(log, 'utf8')
    .split('\n')
    .map(line => line.split(','));
  const files = new Map(
    lines.filter(([what]) => what === 'script-details').map(([, id, file]) => [id, file]),
  );
  return lines
    .filter(([what, how]) => what === 'function' && how === 'interpreter')
    .map(([, , id, start, end, , , name]) => `${files.get(id)} ${name} ${start}-${end}`);
}

test('node --watch learns what workers load, and the program hears nothing of it', {
  skip: way === 'node' && 'the control tells the program, and not the watcher',
}, async t => {
  const cwd = project(t);
  fs.writeFileSync(path.join(cwd, 'part.js'), '');
  fs.writeFileSync(path.join(cwd, 'part.mjs'), '');
  fs.writeFileSync(
    path.join(cwd, 'watched.js'),
    `const cluster = require('rust-cluster');
    if (cluster.isPrimary) cluster.fork().on('message', message => console.log(JSON.stringify(message)));
    else {
      require('./part');
      import('./part.mjs').then(() => { process.send('loaded'); process.disconnect(); });
    }`,
  );
  // As the watcher starts it.
  const { NODE_OPTIONS, ...env } = process.env;
  const child = spawn(process.execPath, ['watched.js'], {
    cwd,
    env: { ...env, WATCH_REPORT_DEPENDENCIES: '1' },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const files = [];
  child.on('message', report => {
    files.push(...(report['watch:require'] ?? report['watch:import']));
  });
  let stdout = '';
  child.stdout.on('data', data => {
    stdout += data;
  });
  await once(child, 'close');
  assert.equal(stdout, '"loaded"\n');
  for (const name of ['watched.js', 'part.js', 'part.mjs'])
    assert.ok(
      files.some(file => file?.endsWith(`/${name}`)),
      `${name}: ${files}`,
    );
  // What a worker alone runs.
  assert.deepEqual(
    files.filter(file => /\/cluster\/(child|become_worker)\.js$/.test(file)),
    [],
  );
});
