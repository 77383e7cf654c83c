'use strict';

// The runner of Node's own tests, held against a small test folder and a stand-in for rust-cluster that breaks
// each test in another way: what the runner does not notice here, it would not notice there.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const script = path.join(__dirname, '../scripts/node-suite.js');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'node-suite-test-'));

const oneWorker = `
  const cluster = require('cluster');
  if (cluster.isPrimary) cluster.fork();
  else process.disconnect();
`;

const tests = {
  'parallel/test-cluster-equal.js': oneWorker,
  'parallel/test-cluster-fails.js': oneWorker,
  'parallel/test-cluster-skips.js': oneWorker,
  'parallel/test-cluster-hangs.js': oneWorker,
  'parallel/test-cluster-leaves-a-process.js': oneWorker,
  'parallel/test-cluster-worker-code.js': oneWorker,
  'parallel/test-cluster-worker-signal.js': oneWorker,
  'parallel/test-cluster-no-worker.js': oneWorker,
  'parallel/test-cluster-orphan-code.js': `
    const cluster = require('cluster');
    if (cluster.isPrimary) cluster.fork().on('online', () => process.exit());
    else process.once('disconnect', () => process.exit());
  `,
  'parallel/test-cluster-varies.js': `
    const cluster = require('cluster');
    const fs = require('fs');
    const counter = __dirname + '/counter';
    if (cluster.isPrimary) cluster.fork();
    else {
      fs.appendFileSync(counter, '.');
      process.exit(fs.statSync(counter).size === 1 ? 0 : 5);
    }
  `,
  'parallel/test-cluster-never-passes.js': 'process.exit(1);',
  'parallel/test-cluster-always-skips.js': "console.log('1..0 # Skipped: not today');",
  'parallel/test-cluster-flags.js': `
    // Flags: --expose-gc
    // Env: SUITE_VALUE=a=b
    const assert = require('assert');
    assert.strictEqual(typeof gc, 'function');
    assert.strictEqual(process.env.SUITE_VALUE, 'a=b');
    assert.strictEqual(process.env.TEST_PARALLEL, '1');
    assert.strictEqual(process.env.NODE_TEST_CONTEXT, undefined);
    assert.deepStrictEqual(process.execArgv, ['--expose-gc']);
    assert.strictEqual(process.cwd(), require('path').resolve(__dirname, '../..'));
  `,
  'sequential/test-cluster-alone.js': "require('assert').strictEqual(process.env.TEST_PARALLEL, '0');",
  'parallel/test-net-plain.js': '',
  'parallel/test-net-handle.js': "require('child_process').fork; child => child.send('server', server);",
  'common/index.js': '',
};

const breaker = `
  const { spawn } = require('child_process');
  const cluster = require('cluster');
  const test = require('path').basename(process.argv[1] ?? '', '.js').slice('test-cluster-'.length);
  const inPrimary = {
    fails: () => { throw new Error('on purpose'); },
    skips: () => { console.log('1..0 # Skipped: on purpose'); process.exit(); },
    hangs: () => setInterval(() => {}, 1000),
    'leaves-a-process': () => spawn('sleep', ['100'], { detached: true, stdio: 'ignore' }).unref(),
    'no-worker': () => process.exit(),
  };
  const inWorker = {
    'worker-code': () => process.exit(3),
    'worker-signal': () => process.kill(process.pid, 'SIGKILL'),
    'orphan-code': () => { process.on('exit', () => { process.exitCode = 4; }); },
  };
  const fork = cluster.fork;
  if (cluster.isPrimary) cluster.fork = env => fork.call(cluster, env);
  (cluster.isPrimary ? inPrimary : inWorker)[test]?.();
`;

/** @returns {{ status: number, stdout: string, stderr: string, results: Map<string, any> }} */
function suite(...args) {
  const json = path.join(folder, 'results.json');
  fs.rmSync(json, { force: true });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [script, path.join(folder, 'test'), '--json', json, ...args],
    { encoding: 'utf8' },
  );
  const results = fs.existsSync(json) ? JSON.parse(fs.readFileSync(json, 'utf8')) : [];
  return { status, stdout, stderr, results: new Map(results.map(result => [result.name, result])) };
}

function write(name, text) {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
  return file;
}

before(() => {
  for (const [name, text] of Object.entries(tests)) write(`test/${name}`, text);
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

describe('comparison', () => {
  let run;
  const of = name => run.results.get(`parallel/test-cluster-${name}`);

  before(() => {
    const subject = write('breaker.js', breaker);
    run = suite('--subject', subject, '--timeout', '3', '--grace', '0.5', '--jobs', '3');
  });

  it('counts and fails', () => {
    assert.match(run.stdout, /^control: 12 pass, 1 skip, 1 fail$/m);
    assert.match(run.stdout, /^rust-cluster: 8 pass, 2 skip, 4 fail$/m);
    assert.match(run.stdout, /^exits: 3 equal, 1 vary, 4 differ$/m);
    assert.strictEqual(run.status, 1);
  });

  it('accepts what is equal', () => {
    const { exits, worse, subject } = of('equal');
    assert.deepStrictEqual([exits, worse, subject.exits], ['equal', false, ['0']]);
    assert.strictEqual(of('flags').worse, false);
    assert.strictEqual(run.results.get('sequential/test-cluster-alone').worse, false);
  });

  it('notices a failure, and shows its output', () => {
    assert.strictEqual(of('fails').worse, true);
    assert.strictEqual(of('fails').subject.why, 'exit code 1');
    assert.match(run.stdout, /on purpose/);
  });

  it('tells a skip from a pass', () => {
    assert.strictEqual(of('skips').subject.status, 'skip');
    assert.strictEqual(of('skips').worse, true);
    assert.strictEqual(of('always-skips').worse, false);
  });

  it('ends a test that hangs', () => {
    assert.match(of('hangs').subject.why, /^timeout; alive: \d+ /);
  });

  it('notices a process that is left over, and ends it', () => {
    const [, pid] = of('leaves-a-process').subject.why.match(/^left-over processes: (\d+) sleep 100$/);
    assert.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
  });

  it('notices other exits of workers, though the test passes', () => {
    const exits = name => [of(name).exits, of(name).control.exits, of(name).subject.exits];
    assert.deepStrictEqual(exits('worker-code'), ['differ', ['0'], ['3']]);
    assert.deepStrictEqual(exits('worker-signal'), ['differ', ['0'], ['SIGKILL']]);
    assert.deepStrictEqual(exits('orphan-code'), ['differ', ['0'], ['4']]);
    assert.deepStrictEqual(exits('no-worker'), ['differ', ['0'], []]);
    assert.match(
      run.stdout,
      /test-cluster-worker-signal\n {4}control, in 11 runs: 0\n {4}rust-cluster: SIGKILL\n/,
    );
  });

  it('learns which exits vary under Node too', () => {
    assert.deepStrictEqual(of('varies').controlExits, [['0'], ['5']]);
    assert.deepStrictEqual([of('varies').exits, of('varies').worse], ['varies', false]);
  });

  it('does not blame rust-cluster for what fails under Node', () => {
    assert.strictEqual(of('never-passes').worse, false);
    assert.match(run.stdout, /Fails under Node's own cluster: 1/);
  });
});

describe('way require', () => {
  const shows = prefix => `
    ${prefix}
    if (cluster.isPrimary) cluster.fork();
    else process.exit(cluster.stand === 'in' ? 7 : 0);
  `;

  it('gives a test the package for cluster, and the package the built-in one', () => {
    write('test/parallel/test-way-old.js', shows("const cluster = require('cluster');"));
    write('test/parallel/test-way-new.js', shows("const cluster = require('node:cluster');"));
    write('test/parallel/test-way-import.mjs', shows("import cluster from 'cluster';"));
    write(
      'test/parallel/test-way-quiet.js',
      "if (globalThis.loaded) process.exit(1); require('cluster').fork;",
    );
    const subject = write(
      'package/index.js',
      `const cluster = require('cluster');
       globalThis.loaded = true;
       module.exports = { ...cluster, stand: 'in', fork: () => cluster.fork() };`,
    );
    const { results } = suite('--way', 'require', '--subject', subject, '--set', 'way', '--learn', '0');
    for (const name of ['old', 'new', 'import']) {
      const { control, subject } = results.get(`parallel/test-way-${name}`);
      assert.deepStrictEqual([control.exits, subject.exits], [['0'], ['7']], name);
    }
    assert.strictEqual(results.get('parallel/test-way-quiet').worse, false);
  });
});

describe('selection', () => {
  const chosen = (...args) => [...suite('--control-only', ...args).results.keys()];

  it('takes sets and patterns', () => {
    const plain = 'parallel/test-net-plain';
    const handle = 'parallel/test-net-handle';
    assert.deepStrictEqual(chosen('--set', 'net'), [handle, plain]);
    assert.deepStrictEqual(chosen('--set', 'handles'), [handle]);
    assert.deepStrictEqual(chosen('--set', 'net', '--only', 'plain$'), [plain]);
    assert.deepStrictEqual(chosen('--set', 'net', '--only', 'plain', '--repeat', '2'), [plain]);
  });
});

describe('refusal', () => {
  const refused = (pattern, ...args) => {
    const { status, stderr } = suite(...args);
    assert.match(stderr, pattern);
    assert.strictEqual(status, 2);
  };

  it('wants something to select', () => refused(/No test matches/, '--only', 'nothing-of-the-kind'));
  it('wants a subject that loads', () => refused(/does not load/, '--subject', path.join(folder, 'none.js')));
  it('wants a way that leads somewhere', () =>
    refused(/still Node's own/, '--subject', write('nothing.js', '')));
  it('wants a Node that runs', () => refused(/does not run/, '--node', '/does/not/exist'));
  it('wants known options', () => refused(/Unknown option/, '--speed', '9'));

  it('says what another user cannot read', { skip: process.getuid() !== 0 && 'needs root' }, () => {
    refused(/nobody cannot read/, '--user', 'nobody');
  });
});
