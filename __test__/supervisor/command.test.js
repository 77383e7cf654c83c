'use strict';

// The command from end to end: what it starts, what it says, and with which code it ends.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { setTimeout } = require('node:timers/promises');
const { test } = require('node:test');
const { get, send } = require('../support/http');
const { lives, children } = require('../support/proc');
const user = require('../support/user');
const leftovers = require('../support/leftovers');
const { BIN, SERVER, answersOf, environment, folder, run, start } = require('./command');

const LISTENING = { 'app.js': SERVER };
const whoAnswers = async port => JSON.parse((await get(port)).body);

/** Waits until processes are gone: they are nobody's children here, so the kernel is asked. */
async function gone(pids) {
  while (pids.some(lives)) await setTimeout(10);
}

test('it starts as many workers as were asked for, and says so in one line once they are ready', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['--no-warnings', '-i', '2', 'app.js', '-x', 'y']);
  const port = await supervised.port();
  const [{ workers, why, after, addresses }] = await supervised.events('all-ready');
  assert.deepEqual([workers, why, addresses], [2, 'as configured', [`127.0.0.1:${port}`]]);
  assert.ok(after > 0);
  assert.equal(supervised.reports[0].event, 'starting');
  const answers = await answersOf(2, () => whoAnswers(port));
  assert.deepEqual(
    answers.map(({ args, execArgv }) => [args, execArgv]),
    Array(2).fill([['-x', 'y'], ['--no-warnings']]),
  );
  assert.deepEqual(answers.map(({ pid }) => pid).sort(), children(supervised.pid).sort());
  process.kill(supervised.pid, 'SIGTERM');
  assert.equal(await supervised.end(), 0);
  assert.deepEqual(fs.readdirSync(path.join(cwd, '.runtime', 'rust-cluster')), []);
});

test('for people it prints plain lines, in colours where they are asked for', async t => {
  const cwd = folder(t, LISTENING);
  for (const [env, colours] of [
    [{}, false],
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: '0' }, false],
  ]) {
    const name = `colours-${JSON.stringify(env).length}`;
    const supervised = start(t, cwd, ['-i', '2', '--name', name, 'app.js'], {
      env: { RUST_CLUSTER_LOG_FORMAT: '', ...env },
    });
    const ready = () =>
      supervised.lines.find(line =>
        /ready after \S+ m?s: 127\.0\.0\.1:\d+, 2 workers, as configured/.test(line),
      );
    const line = await supervised.until('the line', ready);
    assert.equal(line.includes('\x1b['), colours, line);
    assert.match(
      supervised.lines[0],
      /^\d\d:\d\d:\d\d {2}rust-cluster \d\S+: app\.js, 2 workers, as configured$/,
    );
    process.kill(supervised.pid, 'SIGTERM');
    assert.equal(await supervised.end(), 0);
  }
});

test('reload replaces all workers, shows how, and returns when it is done', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', 'app.js']);
  const port = await supervised.port();
  const before = children(supervised.pid);
  const { code, stdout, stderr } = await run(cwd, ['reload']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(
    stdout,
    /reload: 2 workers, one after the other\n.*is ready.*reload is done: 2 workers replaced\n/s,
  );
  const { pid } = await whoAnswers(port);
  assert.ok(!before.includes(pid), 'a new one answers');
  const json = await run(cwd, ['reload', '--json']);
  const lines = json.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  assert.deepEqual(lines.at(-1), { done: true, ok: true, result: { replaced: 2 } });
  assert.ok(lines.length > 2 && lines.slice(0, -1).every(({ report }) => report.event));
});

test('a reload of a broken program says why, ends with 1, and the old workers serve on', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', 'app.js']);
  const port = await supervised.port();
  const before = children(supervised.pid).sort();
  fs.writeFileSync(path.join(cwd, 'app.js'), 'this is no program');
  const { code, stderr } = await run(cwd, ['reload']);
  assert.equal(code, 1);
  assert.match(stderr, /^rust-cluster: .*\[ERR_RUST_CLUSTER_RELOAD_FAILED\]$/ms);
  assert.match(stderr, /SyntaxError/);
  const [{ why }] = await supervised.events('reload-failed');
  assert.match(why, /exited with code 1/);
  const answers = await answersOf(2, () => whoAnswers(port));
  assert.deepEqual(answers.map(({ pid }) => pid).sort(), before);
  const json = await run(cwd, ['reload', '--json']);
  const { ok, error } = JSON.parse(json.stdout.trim().split('\n').at(-1));
  assert.deepEqual([json.code, ok, error.code], [1, false, 'ERR_RUST_CLUSTER_RELOAD_FAILED']);
  assert.ok(
    error.lines.some(line => line.includes('SyntaxError')),
    JSON.stringify(error),
  );
});

test('a reload reads the configuration anew, and one that is wrong changes nothing', async t => {
  const cwd = folder(t, {
    ...LISTENING,
    'rust-cluster.config.json': '{ "exec": "app.js", "workers": 2, "args": ["one"] }',
  });
  const supervised = start(t, cwd, []);
  const port = await supervised.port();
  assert.deepEqual((await whoAnswers(port)).args, ['one']);
  const file = path.join(cwd, 'rust-cluster.config.json');
  fs.writeFileSync(file, '{ "exec": "app.js", "workers": 2, "args": ["two"], "env": { "SAID": "three" } }');
  process.kill(supervised.pid, 'SIGHUP');
  await supervised.events('reload-done');
  const { args, said } = await whoAnswers(port);
  assert.deepEqual([args, said], [['two'], 'three']);
  fs.writeFileSync(file, '{ "exec": "app.js", "drian": "5s" }');
  const { code, stderr } = await run(cwd, ['reload', '--name', path.basename(cwd)]);
  assert.equal(code, 1);
  assert.match(stderr, /There is no option drian .*Did you mean drain\? \[ERR_RUST_CLUSTER_UNKNOWN_OPTION\]/);
  const [error] = await supervised.events('error');
  assert.equal(error.code, 'ERR_RUST_CLUSTER_UNKNOWN_OPTION');
  fs.writeFileSync(file, '{ "exec": "gone.js" }');
  process.kill(supervised.pid, 'SIGHUP');
  const [, missing] = await supervised.events('error', 2);
  assert.equal(missing.code, 'ERR_RUST_CLUSTER_BAD_PROGRAM');
  assert.deepEqual((await whoAnswers(port)).args, ['two']);
});

test('a release behind a symbolic link is looked up anew at each reload', async t => {
  const program = release => SERVER.replace('process.argv.slice(2)', `['${release}', process.cwd()]`);
  const cwd = folder(t, { 'one/app.js': program('one'), 'two/app.js': program('two') });
  const link = path.join(cwd, 'current');
  fs.symlinkSync('one', link);
  const supervised = start(t, cwd, ['-i', '2', '--name', 'linked', '--cwd', 'current', 'current/app.js']);
  const port = await supervised.port();
  assert.deepEqual((await whoAnswers(port)).args, ['one', path.join(cwd, 'one')]);
  fs.symlinkSync('two', `${link}.new`);
  fs.renameSync(`${link}.new`, link);
  assert.equal((await run(cwd, ['reload', 'linked'])).code, 0);
  assert.deepEqual((await whoAnswers(port)).args, ['two', path.join(cwd, 'two')]);
});

test('ps and scale', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', '--name', 'shop', 'app.js']);
  await supervised.port();
  const table = await run(cwd, ['ps']);
  assert.match(table.stdout, /^shop {2}\(pid \d+, rust-cluster \S+\) {2}running\nslot +worker +pid +state/);
  assert.equal(table.stdout.trim().split('\n').length, 4, table.stdout);
  const workersOf = async () =>
    JSON.parse((await run(cwd, ['ps', '--json'])).stdout)[0].workers.filter(({ state }) => state === 'ready')
      .length;
  const [{ workers }] = JSON.parse((await run(cwd, ['ps', '--json'])).stdout);
  for (const { memory, connections } of workers)
    assert.ok(memory > 2 ** 20 && connections === 0, JSON.stringify(workers));
  for (const [count, expected] of [
    ['+1', 3],
    ['-2', 1],
    ['2', 2],
  ]) {
    assert.equal((await run(cwd, ['scale', count, 'shop'])).code, 0);
    assert.equal(await workersOf(), expected);
  }
  const refused = await run(cwd, ['scale', '-2', 'shop']);
  assert.deepEqual([refused.code, /ERR_RUST_CLUSTER_BAD_REQUEST/.test(refused.stderr)], [1, true]);
  assert.equal(await workersOf(), 2);
});

test('two supervisors run side by side, and two who ask for a reload at once both hear of its end', async t => {
  const cwd = folder(t, LISTENING);
  const [one, other] = ['one', 'other'].map(name => start(t, cwd, ['-i', '2', '--name', name, 'app.js']));
  await Promise.all([one.port(), other.port()]);
  const reloads = await Promise.all([
    run(cwd, ['reload', 'one', '--json']),
    run(cwd, ['reload', 'one', '--json']),
  ]);
  for (const { code, stdout } of reloads) {
    const { ok, result } = JSON.parse(stdout.trim().split('\n').at(-1));
    assert.deepEqual([code, ok, result], [0, true, { replaced: 2 }]);
  }
  const { stdout } = await run(cwd, ['ps', '--json']);
  const names = JSON.parse(stdout).map(({ name, workers }) => [
    name,
    workers.filter(({ state }) => state === 'ready').length,
  ]);
  assert.deepEqual(names, [
    ['one', 2],
    ['other', 2],
  ]);
  assert.equal(other.reports.filter(({ event }) => event === 'reload-started').length, 0);
  const wrong = await run(cwd, ['reload', 'third']);
  assert.deepEqual(
    [wrong.code, /Those that run: one, other \[ERR_RUST_CLUSTER_NOT_RUNNING\]/.test(wrong.stderr)],
    [1, true],
  );
});

test('stop stops, and who asked for it hears the end', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', '--name', 'shop', 'app.js']);
  await supervised.port();
  const { code, stdout } = await run(cwd, ['stop', 'shop']);
  assert.equal(code, 0);
  assert.match(stdout, /has stopped \(0\)/);
  assert.equal(await supervised.end(), 0);
  const after = await run(cwd, ['stop', 'shop']);
  assert.deepEqual(
    [after.code, after.stderr],
    [
      1,
      'rust-cluster: No supervisor of the name shop runs for this user. None runs at all. [ERR_RUST_CLUSTER_NOT_RUNNING]\n',
    ],
  );
  assert.equal((await run(cwd, ['ps'])).stdout, 'No supervisor runs for this user.\n');
});

test('a second one of a name is refused before it starts anything, and the first is as it was', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', 'app.js']);
  const port = await supervised.port();
  const { code, stderr } = await run(cwd, ['app.js']);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^rust-cluster: A supervisor of the name .* runs already .*\[ERR_RUST_CLUSTER_NAME_TAKEN\]\n$/,
  );
  assert.ok(await whoAnswers(port));
});

test('one that is killed leaves no worker, and nothing that is in the way of the next', {
  timeout: 120_000,
}, async t => {
  const cwd = folder(t, LISTENING);
  const first = start(t, cwd, ['-i', '2', 'app.js']);
  await first.port();
  const workers = children(first.pid);
  process.kill(first.pid, 'SIGKILL');
  assert.equal(await first.end(), 'SIGKILL');
  await gone(workers);
  const second = start(t, cwd, ['-i', '2', 'app.js']);
  assert.ok(await whoAnswers(await second.port()));
});

test('a second signal ends at once, with a code that says which', async t => {
  const cwd = folder(t, LISTENING);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ]) {
    const supervised = start(t, cwd, ['-i', '2', '--drain', '1h', 'app.js']);
    const port = await supervised.port();
    const { request, response } = send(port, { path: '/hang' });
    const lost = assert.rejects(response);
    request.end();
    await supervised.until('the request', () => supervised.lines.includes('hangs'));
    process.kill(supervised.pid, signal);
    await supervised.events('draining', 2);
    process.kill(supervised.pid, signal);
    assert.equal(await supervised.end(), code);
    await lost;
  }
});

const noScript = spawnSync('script', ['--version']).status !== 0 && 'script(1) is not installed';
test('when its terminal goes away it stops, and is not left behind', {
  skip: noScript,
  timeout: 120_000,
}, async t => {
  const cwd = folder(t, LISTENING);
  const line = `'${process.execPath}' '${BIN}' -i 2 --name shop app.js`;
  const terminal = spawn('script', ['-qefc', line, '/dev/null'], {
    cwd,
    env: environment(cwd, {}),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  leftovers.track(terminal.pid);
  let said = '';
  for await (const text of terminal.stdout) {
    said += text;
    if (/ready after .*2 workers/.test(said)) break;
  }
  const [{ pid, workers }] = JSON.parse((await run(cwd, ['ps', '--json'])).stdout);
  terminal.kill('SIGKILL');
  await gone([pid, ...workers.map(worker => worker.pid)]);
});

test('requests that the deadline has cut off are in the exit code', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', '--drain', '100ms', '--kill-timeout', '1s', 'app.js']);
  const port = await supervised.port();
  const { request, response } = send(port, { path: '/hang' });
  const lost = assert.rejects(response);
  request.end();
  await supervised.until('the request', () => supervised.lines.includes('hangs'));
  process.kill(supervised.pid, 'SIGTERM');
  assert.equal(await supervised.end(), 3);
  await lost;
});

test('what never became ready ends the command soon, with its code and its words', async t => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const cases = [
    ['this is no program', 1, /SyntaxError/],
    ['throw new Error("no database")', 1, /no database/],
    ['process.exit(7)', 7],
    ['process.kill(process.pid, "SIGKILL")', 137],
    [SERVER.replace('listen(0', `listen(${taken.address().port}`), 1, /EADDRINUSE/],
    ['setInterval(() => {}, 1000)', 1, /not ready within/, ['--ready-timeout', '300ms']],
    ['require("./missing")', 1, /Cannot find module/],
  ];
  for (const [text, code, words, args = []] of cases) {
    const cwd = folder(t, { 'app.js': text });
    const supervised = start(t, cwd, ['-i', '2', ...args, 'app.js']);
    assert.equal(await supervised.end(), code, `${text}\n${supervised.story()}`);
    if (words) assert.match(supervised.story(), words);
    assert.ok(
      supervised.reports.some(({ event }) => event === 'gave-up'),
      supervised.story(),
    );
  }
});

test('a program that listens twice has both addresses, and is ready with the first', async t => {
  const cwd = folder(t, { 'app.js': `${SERVER}\n${SERVER}` });
  const supervised = start(t, cwd, ['-i', '2', 'app.js']);
  await supervised.port();
  await supervised.events('listening', 4);
  const [{ workers }] = JSON.parse((await run(cwd, ['ps', '--json'])).stdout);
  for (const { addresses } of workers) assert.equal(addresses.length, 2, JSON.stringify(workers));
});

test('what is wrong before the start ends with 2, a message and a code', async t => {
  const cwd = folder(t, {
    ...LISTENING,
    'broken.js': 'this is no program',
    'environment.json': '{ "envFile": "missing.env" }',
  });
  const cases = [
    [[], /No program was named.*\[ERR_RUST_CLUSTER_BAD_PROGRAM\]/],
    [['missing.js'], /missing\.js cannot be run: there is no such file \[ERR_RUST_CLUSTER_BAD_PROGRAM\]/],
    [['--drian', '5s', 'app.js'], /Did you mean --drain\? \[ERR_RUST_CLUSTER_UNKNOWN_OPTION\]/],
    [['--drain', '-5', 'app.js'], /--drain must be .*\[ERR_RUST_CLUSTER_BAD_OPTION\]/],
    [['--check', 'broken.js'], /SyntaxError.*\[ERR_RUST_CLUSTER_BAD_PROGRAM\]/s],
    [['--check', '--config', 'missing.json', 'app.js'], /\[ERR_RUST_CLUSTER_BAD_CONFIGURATION\]/],
    [
      ['--config', 'environment.json', 'app.js'],
      /missing\.env cannot be used: there is no such file \[ERR_RUST_CLUSTER_BAD_CONFIGURATION\]/,
    ],
    [['scale', 'many'], /\[ERR_RUST_CLUSTER_BAD_OPTION\]/],
  ];
  for (const [args, words] of cases) {
    const { code, stdout, stderr } = await run(cwd, args);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack');
  }
  const { code, stderr } = await run(cwd, ['app.js'], { env: { WEB_CONCURRENCY: 'many' } });
  assert.deepEqual([code, /^rust-cluster: WEB_CONCURRENCY must be/.test(stderr)], [2, true], stderr);
});

test('--check looks at all of it, and starts nothing', async t => {
  const cwd = folder(t, { 'app.js': 'throw new Error("started")', 'package.json': '{"name": "shop"}' });
  const { code, stdout, stderr } = await run(cwd, ['--check', '-i', '3', 'app.js']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(stdout, `In order: shop, ${path.join(cwd, 'app.js')}, 3 workers, as configured\n`);
});

test('--help and --version need nothing else', async t => {
  const cwd = folder(t, { 'package.json': 'broken' });
  for (const [flag, words] of [
    ['--help', /^rust-cluster \[options\]/],
    ['-v', /^rust-cluster \d\S*, Node v/],
  ]) {
    const { code, stdout } = await run(cwd, [flag]);
    assert.equal(code, 0);
    assert.match(stdout, words);
  }
});

test('under npm it warns once, and WEB_CONCURRENCY is why there are so many', async t => {
  const cwd = folder(t, LISTENING);
  const env = { npm_lifecycle_event: 'npx', npm_execpath: '/npm', WEB_CONCURRENCY: '2' };
  const supervised = start(t, cwd, ['app.js'], { env });
  await supervised.port();
  const [{ why }] = await supervised.events('all-ready');
  assert.equal(why, 'WEB_CONCURRENCY is 2');
  const warnings = supervised.reports.filter(({ event }) => event === 'warning');
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['ERR_RUST_CLUSTER_UNDER_NPM'],
  );
});

test('who reads its lines may go: it serves on', async t => {
  const cwd = folder(t, LISTENING);
  const supervised = start(t, cwd, ['-i', '2', '--name', 'shop', 'app.js']);
  const port = await supervised.port();
  supervised.process.stderr.destroy();
  supervised.process.stdout.destroy();
  assert.equal((await run(cwd, ['reload', 'shop'])).code, 0);
  assert.ok(await whoAnswers(port));
});

test('without a place for the control socket it warns and serves, and with --no-control there is none', async t => {
  const cwd = folder(t, LISTENING);
  const env = { XDG_RUNTIME_DIR: '', TMPDIR: path.join(cwd, 'missing') };
  const supervised = start(t, cwd, ['-i', '2', 'app.js'], { env });
  assert.ok(await whoAnswers(await supervised.port()));
  const [{ code }] = await supervised.events('warning');
  assert.equal(code, 'ERR_RUST_CLUSTER_NO_CONTROL');
  const without = start(t, cwd, ['-i', '2', '--no-control', 'app.js']);
  await without.port();
  assert.ok(!fs.existsSync(path.join(cwd, '.runtime', 'rust-cluster')));
});

const { uid } = user.ids();
const skip = uid === undefined && 'only root can start it as an ordinary user';
test('as an ordinary user: a program that may not be read is refused, and one that may is served', {
  skip,
}, async t => {
  const cwd = folder(t, { ...LISTENING, 'secret.js': '' });
  fs.chmodSync(path.join(cwd, 'secret.js'), 0o600);
  fs.mkdirSync(path.join(cwd, '.runtime'));
  for (const name of [cwd, path.join(cwd, '.runtime')]) {
    fs.chmodSync(name, 0o755);
  }
  fs.chownSync(path.join(cwd, '.runtime'), uid, uid);
  const as = { uid, gid: uid };
  const { code, stderr } = await run(cwd, ['secret.js'], as);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /secret\.js cannot be run: it cannot be read \(EACCES\) \[ERR_RUST_CLUSTER_BAD_PROGRAM\]/,
  );
  const supervised = start(t, cwd, ['-i', '2', '--name', 'shop', 'app.js'], as);
  await supervised.port();
  assert.equal((await run(cwd, ['scale', '+1', 'shop'], as)).code, 0);
});
