'use strict';

// Where options may stand, which of them wins, and what is said of those that are wrong.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { parse } = require('../../lib/supervisor/command_line');
const { checkProgram, load } = require('../../lib/supervisor/configuration');
const { howMany } = require('../../lib/supervisor/how_many');
const { OPTIONS, variable } = require('../../lib/supervisor/options');
const { startFolder } = require('../../lib/supervisor/start_folder');

const BAD = 'ERR_RUST_CLUSTER_BAD_OPTION';
const UNKNOWN = 'ERR_RUST_CLUSTER_UNKNOWN_OPTION';
const CONFIGURATION = 'ERR_RUST_CLUSTER_BAD_CONFIGURATION';
const PROGRAM = 'ERR_RUST_CLUSTER_BAD_PROGRAM';

/** A folder with these files. */
function folder(t, files = {}) {
  const name = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-')));
  t.after(() => fs.rmSync(name, { recursive: true }));
  for (const [file, text] of Object.entries(files))
    fs.writeFileSync(path.join(name, file), typeof text === 'string' ? text : JSON.stringify(text));
  return name;
}

/** What the command finds, started in a folder. */
const find = (start, line = '', environment = {}) =>
  load(parse(line.split(' ').filter(Boolean)), start, environment);

/** That the command finds an error there, which says `words`. */
const fails = (start, code, words, line, environment) =>
  assert.rejects(find(start, line, environment), error => {
    assert.equal(error.code, code, error.stack);
    for (const word of words) assert.ok(error.message.includes(word), `${word} in: ${error.message}`);
    return true;
  });

test('the command line wins over the environment, that over the configuration, and that over package.json', async t => {
  const start = folder(t, {
    'package.json': {
      name: '@scope/shop',
      'rust-cluster': { drain: '1s', killTimeout: '1s', stuck: '1s', jitter: 0.5 },
    },
    'rust-cluster.config.json': { drain: '2s', killTimeout: '2s', stuck: '2s' },
  });
  const environment = { RUST_CLUSTER_DRAIN: '3s', RUST_CLUSTER_KILL_TIMEOUT: '3s', RUST_CLUSTER_NAME: '' };
  const { options, file } = await find(start, '--drain 4s app.js', environment);
  assert.deepEqual(
    [options.drain, options.killTimeout, options.stuck, options.jitter, options.workers],
    [4000, 3000, 2000, 0.5, 'auto'],
  );
  assert.equal(options.name, 'scope-shop');
  assert.equal(file, path.join(start, 'rust-cluster.config.json'));
});

for (const [name, text] of Object.entries({
  'rust-cluster.config.js': "module.exports = { drain: '2s', args: [String(require('./extra.json'))] };",
  'rust-cluster.config.mjs':
    "import { readFileSync } from 'node:fs'; export default { drain: '2s', args: [readFileSync('extra.json', 'utf8')] };",
  'rust-cluster.config.json': '{ "drain": "2s", "args": ["1"] }',
})) {
  test(`${name} is read, and anew each time`, async t => {
    const start = folder(t, {
      [name]: text.replace("'extra.json'", "new URL('extra.json', import.meta.url)"),
      'extra.json': '1',
    });
    const first = await find(start);
    assert.deepEqual([first.options.drain, first.options.args], [2000, ['1']]);
    fs.writeFileSync(path.join(start, 'extra.json'), '2');
    if (name.endsWith('.json')) fs.writeFileSync(path.join(start, name), text.replace('"1"', '"2"'));
    assert.deepEqual((await find(start)).options.args, ['2']);
  });
}

test('each option that may stand on a command line may stand in the environment', async t => {
  const start = folder(t);
  const values = {
    text: 'x',
    file: 'x',
    name: 'x',
    workers: '3',
    boolean: 'true',
    duration: '3s',
    size: '3M',
    count: '3',
    fraction: '0.3',
    codes: '3,4',
    backoff: '3s,4s',
    restarts: '3/4s',
    watch: 'a:b',
    format: 'json',
    dispatch: 'round-robin',
    sticky: 'cookie:sid',
    telemetry: '127.0.0.1:9464',
  };
  for (const { name, kind, only } of OPTIONS) {
    const environment = { [variable(name)]: values[kind] ?? '[]' };
    const { options, ...own } = await find(start, '', environment);
    const plain = await find(start, '');
    const found = { ...options, ...own }[name];
    if (only) assert.deepEqual(found, plain.options[name], name);
    else if (name !== 'control') assert.notDeepEqual(found, plain.options[name] ?? plain[name], name);
  }
  assert.equal((await find(start, '', { RUST_CLUSTER_CONTROL: 'false' })).control, false);
  assert.deepEqual((await find(start, '', { RUST_CLUSTER_WATCH: 'lib:views' })).options.watch, [
    path.join(start, 'lib'),
    path.join(start, 'views'),
  ]);
});

test('paths start where they stand: at the configuration, or where the command was started', async t => {
  const start = folder(t);
  const other = folder(t, { 'any.json': { exec: 'app.js', envFile: '.env', watch: ['lib'] } });
  const { options } = await find(start, `--config ${other}/any.json`);
  assert.deepEqual(
    [options.exec, options.envFile, options.watch],
    [path.join(other, 'app.js'), path.join(other, '.env'), [path.join(other, 'lib')]],
  );
  const nearer = await find(start, `--config ${other}/any.json --env-file x ./y.js`);
  assert.deepEqual(
    [nearer.options.exec, nearer.options.envFile],
    [path.join(start, 'y.js'), path.join(start, 'x')],
  );
});

test('with --cwd the configuration is looked for there, through a symbolic link as it points now', async t => {
  const start = folder(t);
  for (const release of ['one', 'two']) {
    fs.mkdirSync(path.join(start, release));
    fs.writeFileSync(path.join(start, release, 'package.json'), JSON.stringify({ name: release }));
  }
  const link = path.join(start, 'current');
  fs.symlinkSync('one', link);
  const names = [(await find(start, '--cwd current app.js')).options.name];
  fs.rmSync(link);
  fs.symlinkSync('two', link);
  const { options } = await find(start, '--cwd current app.js');
  assert.deepEqual([...names, options.name, options.cwd], ['one', 'two', link]);
});

test('a folder that was entered by a symbolic link is named so, to be looked up anew', t => {
  const start = folder(t);
  fs.mkdirSync(path.join(start, 'one'));
  fs.symlinkSync('one', path.join(start, 'current'));
  const { stdout } = spawnSync(
    'sh',
    [
      '-c',
      'cd "$0/current" && "$1" -p "$2"',
      start,
      process.execPath,
      `require(${JSON.stringify(require.resolve('../../lib/supervisor/start_folder'))}).startFolder()`,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(stdout.trim(), path.join(start, 'current'));
  assert.ok(path.isAbsolute(startFolder()));
});

test("a name that nobody gave is the package's, or the folder's", async t => {
  const start = folder(t);
  assert.equal((await find(start)).options.name, path.basename(start));
  fs.writeFileSync(path.join(start, 'package.json'), '{}');
  assert.equal((await find(start)).options.name, path.basename(start));
  assert.equal((await find(start, '--name shop')).options.name, 'shop');
});

test('what is wrong in a configuration is said with where it stands', async t => {
  const wrong = [
    [{ drian: 1 }, UNKNOWN, ['drian', 'Did you mean drain?']],
    [{ 'ready-timeout': 1 }, UNKNOWN, ['Did you mean readyTimeout?']],
    [{ drain: -1 }, BAD, ['drain of ', 'Received -1']],
    [{ waitReady: 'yes' }, BAD, ['waitReady of ', "Received 'yes'"]],
    [{ maxMemory: '5 apples' }, BAD, ['maxMemory of ']],
    [[], BAD, ['must be an object']],
    ['null', BAD, ['must be an object']],
    ['{', CONFIGURATION, ['cannot be used']],
    ['', CONFIGURATION, ['cannot be used']],
  ];
  for (const [text, code, words] of wrong) {
    const start = folder(t, { 'rust-cluster.config.json': text });
    await fails(start, code, [...words, path.join(start, 'rust-cluster.config.json')]);
  }
  const start = folder(t, { 'package.json': { 'rust-cluster': { drian: 1 } } });
  await fails(start, UNKNOWN, ['"rust-cluster" of ', path.join(start, 'package.json')]);
  await fails(folder(t, { 'package.json': '{' }), CONFIGURATION, ['package.json']);
});

test('a configuration that is code may fail in every way', async t => {
  const wrong = {
    'module.exports = {': 'SyntaxError',
    'throw new Error("no database")': 'no database',
    'process.exit(3)': 'it ended with 3',
    'process.kill(process.pid, "SIGKILL")': 'it ended with SIGKILL',
    'module.exports = { exec: () => {} }': 'could not be cloned',
    'require("./missing")': "Cannot find module './missing'",
  };
  for (const [text, words] of Object.entries(wrong)) {
    const start = folder(t, { 'rust-cluster.config.js': text });
    await fails(start, CONFIGURATION, [words, path.join(start, 'rust-cluster.config.js')]);
  }
  await fails(folder(t, { 'rust-cluster.config.mjs': 'export const drain = 1;' }), BAD, [
    'must be an object',
  ]);
});

test('of two configurations neither is taken, and one that was named must be there', async t => {
  const start = folder(t, { 'rust-cluster.config.json': '{}', 'rust-cluster.config.mjs': '' });
  await fails(start, CONFIGURATION, ['there is also']);
  await fails(start, CONFIGURATION, ['there is no such file'], '--config missing.json');
  await fails(start, CONFIGURATION, ['there is no such file'], '', { RUST_CLUSTER_CONFIG: 'missing.json' });
});

test('what is wrong in the environment is said, and what others have there is left alone', async t => {
  const start = folder(t);
  await fails(start, UNKNOWN, ['RUST_CLUSTER_DRIAN', 'Did you mean RUST_CLUSTER_DRAIN?'], '', {
    RUST_CLUSTER_DRIAN: '5s',
  });
  await fails(start, BAD, ['RUST_CLUSTER_DRAIN', "Received '-5'"], '', { RUST_CLUSTER_DRAIN: '-5' });
  for (const by of ['adress', 'cookie', 'cookie:', 'cookie:a b', 'body:x'])
    await fails(start, BAD, ["'cookie:NAME'", `Received '${by}'`], '', { RUST_CLUSTER_STICKY: by });
  await fails(start, BAD, ['settings.dispatch.policy', "Received 'busy'"], '', {
    RUST_CLUSTER_DISPATCH: 'busy',
  });
  // What Kubernetes sets for a service of our name.
  const others = {
    RUST_CLUSTER_SERVICE_HOST: '10.0.0.1',
    RUST_CLUSTER_SERVICE_PORT: '80',
    RUST_CLUSTER_PORT: 'tcp://10.0.0.1:80',
    RUST_CLUSTER_PORT_80_TCP: 'tcp://10.0.0.1:80',
    RUST_CLUSTER_PORT_80_TCP_ADDR: '10.0.0.1',
    RUST_CLUSTER_BINARY: '/x',
  };
  assert.deepEqual(await find(start, '', others), await find(start));
});

test('a program is there and can be read', t => {
  const start = folder(t, { 'app.js': '', 'secret.js': '', 'package.json': { main: 'app.js' } });
  const at = name => path.join(start, name);
  for (const name of ['app.js', 'app', '.']) checkProgram(at(name));
  assert.throws(() => checkProgram(undefined), { code: PROGRAM, message: /No program was named/ });
  assert.throws(() => checkProgram(at('missing.js')), {
    code: PROGRAM,
    message: /missing\.js cannot be run: there is no such file/,
  });
  fs.mkdirSync(at('empty'));
  assert.throws(() => checkProgram(at('empty')), { code: PROGRAM });
});

test('how many: what was asked for, or WEB_CONCURRENCY, or what the process may use', () => {
  assert.deepEqual(howMany(3, { WEB_CONCURRENCY: '5' }), { count: 3, why: 'as configured' });
  assert.deepEqual(howMany('auto', { WEB_CONCURRENCY: ' 5 ' }), { count: 5, why: 'WEB_CONCURRENCY is 5' });
  for (const blank of [undefined, '', '  ']) {
    const { count, why } = howMany('auto', { WEB_CONCURRENCY: blank });
    assert.ok(count >= 1 && /^as many as/.test(why), why);
  }
  for (const wrong of ['0', '-1', '1.5', 'many', '1e3'])
    assert.throws(() => howMany('auto', { WEB_CONCURRENCY: wrong }), {
      code: BAD,
      message: /^WEB_CONCURRENCY must be/,
    });
});
