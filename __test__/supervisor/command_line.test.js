'use strict';

// What a command line says, without anything that is started.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { test } = require('node:test');
const { help, parse } = require('../../lib/supervisor/command_line');
const { OPTIONS, check, kebab } = require('../../lib/supervisor/options');

const { page, OUTPUT } = require('../../scripts/command-docs');

const UNKNOWN = 'ERR_RUST_CLUSTER_UNKNOWN_OPTION';
const BAD = 'ERR_RUST_CLUSTER_BAD_OPTION';

/** Words without a space in them. */
const words = text => text.split(' ');
const given = text => parse(words(text)).given;
const fails = (text, code, message = /./) => assert.throws(() => parse(words(text)), { code, message });

test("what follows the program is the program's, whatever it looks like", () => {
  assert.deepEqual(given('--drain 5s app.js --drain 7s -i 3 -- --help ps'), {
    drain: '5s',
    exec: 'app.js',
    args: words('--drain 7s -i 3 -- --help ps'),
  });
  assert.deepEqual(given('-i 2 -- --app.js x'), { workers: 2, exec: '--app.js', args: ['x'] });
  assert.deepEqual(given('--drain=5s app.js'), { drain: '5s', exec: 'app.js', args: [] });
});

test('without a program there is none, and options stay', () => {
  assert.deepEqual(parse([]), { command: 'run', given: {}, own: {}, rest: [] });
  assert.deepEqual(given('--wait-ready'), { waitReady: true });
  assert.deepEqual(given('-i 2 --'), { workers: 2 });
});

test("Node's own options before the program go to the workers", () => {
  const { given: options } = parse(
    words(
      '--require ./a --max-old-space-size=64 -r ./b --no-warnings --stack-size=2000 -i 2 --import ./c app.js',
    ),
  );
  assert.deepEqual(options, {
    workers: 2,
    execArgv: words(
      '--require ./a --max-old-space-size=64 -r ./b --no-warnings --stack-size=2000 --import ./c',
    ),
    exec: 'app.js',
    args: [],
  });
});

test('of those that process.allowedNodeEnvironmentFlags does not have, too', () => {
  for (const flag of ['--expose-internals', '--allow-natives-syntax', '--inspect', '--cpu-prof'])
    assert.deepEqual(given(`${flag} app.js`).execArgv, [flag], flag);
});

test("an option of Node's that needs a value has one", () => {
  fails('--import', BAD, /^--import must be followed by a value/);
});

test('what makes Node another program than one that runs a file is refused', () => {
  for (const flag of ['-e', '--eval', '-p', '--test', '--v8-options'])
    fails(`${flag} app.js`, BAD, /left out/);
});

test('an unknown option is an error, with the nearest known one', () => {
  fails('--drian 5s app.js', UNKNOWN, 'There is no option --drian (the command line). Did you mean --drain?');
  fails('--redy-timeout 5s app.js', UNKNOWN, /Did you mean --ready-timeout\?/);
  fails('--requre x app.js', UNKNOWN, /Did you mean --require\?/);
  fails('--Drain 5s app.js', UNKNOWN, /Did you mean --drain\?/);
  fails('--nothing-like-it app.js', UNKNOWN, /--help has all of them/);
  fails('-x app.js', UNKNOWN, /There is no option -x /);
  fails('--no-drain app.js', UNKNOWN, /There is no option --no-drain /);
});

test("pm2's names are understood", () => {
  assert.deepEqual(
    given(
      '-i max --kill-timeout 3000 --wait-ready --listen-timeout 8000 --max-memory-restart 300M --stop-exit-codes 0,3 app.js',
    ),
    {
      workers: 'auto',
      killTimeout: '3000',
      waitReady: true,
      readyTimeout: '8000',
      maxMemory: '300M',
      stayDown: [0, 3],
      exec: 'app.js',
      args: [],
    },
  );
  for (const text of ['-i 0', '--instances max', '-i max'])
    assert.equal(given(`${text} app.js`).workers, 'auto');
  assert.equal(given('--instances 3 app.js').workers, 3);
  fails('--workers 0 app.js', BAD, /--workers must be/);
});

test('a value is looked at where it stands', () => {
  for (const text of [
    '--drain -5',
    '--drain 5x',
    '--drain',
    '--drain=',
    '--workers -1',
    '--workers 1.5',
    '--workers many',
  ])
    fails(text, BAD);
  for (const text of [
    '--max-memory -1M',
    '--max-memory 5T',
    '--jitter 2',
    '--stay-down 256',
    '--stay-down 1,,2',
  ])
    fails(`${text} app.js`, BAD);
  for (const text of [
    '--backoff 5s',
    '--backoff 5s,1s',
    '--max-restarts 5',
    '--max-restarts -1/5s',
    '--name ../x',
  ])
    fails(`${text} app.js`, BAD);
  fails('--wait-ready=5 app.js', BAD, /^--wait-ready must be without a value/);
  fails('--log-format xml app.js', BAD, /^--log-format must be 'text' or 'json'/);
});

test('a flag can be taken back', () => {
  assert.deepEqual(given('--no-wait-ready --no-control --no-watch app.js'), {
    waitReady: false,
    control: false,
    watch: false,
    exec: 'app.js',
    args: [],
  });
});

test('times and sizes are in the units of the supervisor', () => {
  const times = {
    '500ms': 500,
    '30s': 30_000,
    '1.5s': 1500,
    '5m': 300_000,
    '2h': 7_200_000,
    '1d': 86_400_000,
    250: 250,
  };
  for (const [text, ms] of Object.entries(times))
    assert.equal(check(given(`--drain ${text} a`)).drain, ms, text);
  const sizes = {
    '512M': 2 ** 29,
    '512MB': 2 ** 29,
    '512MiB': 2 ** 29,
    '1.5g': 1.5 * 2 ** 30,
    '64k': 65_536,
    1024: 1024,
  };
  for (const [text, bytes] of Object.entries(sizes))
    assert.equal(check(given(`--max-memory ${text} a`)).maxMemory, bytes, text);
  const { backoff, maxRestarts, watch } = check(
    given('--backoff 1s,1m --max-restarts 7/5m --watch --watch-path lib --watch-path views a'),
  );
  assert.deepEqual(
    { backoff, maxRestarts, watch },
    {
      backoff: { first: 1000, most: 60_000 },
      maxRestarts: { count: 7, within: 300_000 },
      watch: ['lib', 'views'],
    },
  );
});

test('in JavaScript a time is a number or text, and what is no option or of a wrong type is an error', () => {
  assert.equal(check({ drain: 5 }).drain, 5);
  assert.equal(check({ drain: '5s' }).drain, 5000);
  assert.throws(() => check({ drian: 5 }), {
    code: UNKNOWN,
    message: /^There is no option drian \(supervise\(\)\). Did you mean drain\?/,
  });
  assert.throws(() => check({ logFormat: 'text' }), { code: UNKNOWN });
  const wrong = [
    { drain: -1 },
    { drain: Number.NaN },
    { drain: 2 ** 31 },
    { drain: {} },
    { workers: '2' },
    { workers: 0 },
    { waitReady: 'yes' },
    { args: 'a b' },
    { env: { A: 1 } },
    { env: ['A'] },
    { backoff: { first: 1 } },
    { backoff: { first: 1, most: 2, least: 3 } },
    { maxRestarts: 5 },
    { stayDown: 3 },
    { jitter: '0.1' },
    { name: 'a/b' },
    { exec: 'a\0b' },
    [],
    null,
    5,
  ];
  for (const options of wrong) assert.throws(() => check(options), { code: BAD }, JSON.stringify(options));
});

test('five seconds of shutdown delay are the default where Kubernetes is seen', t => {
  const before = process.env.KUBERNETES_SERVICE_HOST;
  t.after(() => {
    if (before === undefined) delete process.env.KUBERNETES_SERVICE_HOST;
    else process.env.KUBERNETES_SERVICE_HOST = before;
  });
  delete process.env.KUBERNETES_SERVICE_HOST;
  assert.equal(check({}).shutdownDelay, 0);
  process.env.KUBERNETES_SERVICE_HOST = '10.0.0.1';
  assert.equal(check({}).shutdownDelay, 5000);
  assert.equal(check({ shutdownDelay: 0 }).shutdownDelay, 0);
});

test('ps, reload, scale and stop take a name, and their own options on either side', () => {
  assert.deepEqual(parse(words('ps')), { command: 'ps', given: {}, own: {}, rest: [] });
  assert.deepEqual(parse(words('reload app --json')), {
    command: 'reload',
    given: { name: 'app' },
    own: { json: true },
    rest: [],
  });
  assert.deepEqual(parse(words('--name app scale -1')), {
    command: 'scale',
    given: { name: 'app' },
    own: {},
    rest: ['-1'],
  });
  assert.deepEqual(parse(words('scale +2 app')), {
    command: 'scale',
    given: { name: 'app' },
    own: {},
    rest: ['+2'],
  });
  assert.equal(parse(words('./ps')).command, 'run');
  assert.equal(parse(words('-- ps')).command, 'run');
  for (const text of ['scale', 'scale many', 'scale 1.5', 'scale 1 a b', 'reload a b', 'ps a/b'])
    fails(text, BAD);
  fails('reload --drain 5s', UNKNOWN, /There is no option --drain \(rust-cluster reload\)/);
  fails('reload --jsno', UNKNOWN, /Did you mean --json\?/);
});

test('--help has every option, and fits a terminal', () => {
  const text = help();
  for (const { name, only } of OPTIONS)
    assert.equal(text.includes(kebab(name)), !only || name === 'env', name);
  for (const line of text.split('\n')) assert.ok(line.length <= 110, line);
});

test('docs/command.md has the options as they are (npm run docs)', () => {
  assert.equal(fs.readFileSync(OUTPUT, 'utf8'), page());
});
