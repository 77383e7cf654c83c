'use strict';

// rust-cluster top finds the telemetry of a supervisor, and is answered whatever the supervisor does. What it shows:
// telemetry/top.test.js.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { folder, run, start, SERVER } = require('./command');

/** Of a supervisor alone, and not of its workers: the signal has its JavaScript hang for good. */
const HANG = `if (/rust-cluster\\.js$/.test(process.argv[1]))
  process.on('SIGUSR2', () => { require('node:fs').writeSync(1, 'hangs\\n'); for (;;); });`;

const fileOf = cwd => path.join(cwd, '.runtime/rust-cluster/shop.telemetry');

/** A supervisor whose telemetry is at a port of its own. */
async function shop(t, address = '127.0.0.1:0', env = () => {}) {
  const cwd = folder(t, { 'app.js': SERVER, 'hang.js': HANG });
  const options = ['--name', 'shop', '-i', '2', '--metrics', address];
  const supervised = start(t, cwd, [...options, 'app.js'], { env: env(cwd) });
  await supervised.events('all-ready');
  return { cwd, supervised };
}

/** Which slots serve: on a busy machine a worker may be stuck for a moment. */
const serving = ({ slots }) =>
  slots.filter(({ state }) => /^(ready|stuck)$/.test(state)).map(({ slot }) => slot);

/** What top says, as JSON. */
async function status(cwd, args = []) {
  const { code, stdout, stderr } = await run(cwd, ['top', '--json', ...args]);
  assert.equal(code, 0, stderr + stdout);
  return JSON.parse(stdout);
}

/** That it fails, and why. */
async function fails(cwd, args, words) {
  const { code, stderr } = await run(cwd, ['top', ...args]);
  assert.equal(code, 1);
  assert.match(stderr, /\[ERR_RUST_CLUSTER_NO_STATUS\]/);
  assert.match(stderr, words);
}

test('it finds the only one that tells, one by its name, and one by its address', async t => {
  const { cwd, supervised } = await shop(t);
  const { pid } = supervised.process;
  const { host, port } = JSON.parse(fs.readFileSync(fileOf(cwd), 'utf8'));
  assert.equal(fs.statSync(fileOf(cwd)).mode & 0o777, 0o600);
  for (const args of [[], ['shop'], ['--metrics', `${host}:${port}`]]) {
    const found = await status(cwd, args);
    assert.deepEqual([found.pid, serving(found)], [pid, [0, 1]]);
  }
  const { code, stdout } = await run(cwd, ['top', 'shop']);
  assert.equal(code, 0);
  assert.match(stdout, /^rust-cluster \S+ {2}pid \d+ {2}up .*ready/);
  assert.equal(stdout.match(/^ +[01] {2}(ready|stuck) /gm)?.length, 2, stdout);
});

test('it finds one that had to wait for its address', async t => {
  const port = await freePort();
  const before = net.createServer().listen(port, '127.0.0.1');
  await once(before, 'listening');
  const { cwd, supervised } = await shop(t, `127.0.0.1:${port}`);
  assert.equal(fs.existsSync(fileOf(cwd)), false);
  const ended = new AbortController();
  t.after(() => ended.abort());
  const changes = fs.promises.watch(path.dirname(fileOf(cwd)), { signal: ended.signal });
  const isSaid = (async () => {
    for await (const _ of changes)
      if (fs.existsSync(fileOf(cwd)) && fs.statSync(fileOf(cwd)).size > 0) return;
  })();
  before.close();
  await Promise.race([isSaid, supervised.until('where it is', () => false)]);
  assert.equal((await status(cwd, ['shop'])).pid, supervised.process.pid);
});

test('it finds a socket by its path', async t => {
  const { cwd, supervised } = await shop(t, './telemetry.sock');
  assert.equal((await status(cwd)).pid, supervised.process.pid);
  assert.equal((await status(cwd, ['--metrics', './telemetry.sock'])).pid, supervised.process.pid);
});

test('a file that cannot be written ends no supervisor, and is said', async t => {
  const cwd = folder(t, { 'app.js': SERVER });
  fs.mkdirSync(fileOf(cwd), { recursive: true });
  fs.chmodSync(path.dirname(fileOf(cwd)), 0o700);
  const options = ['--name', 'shop', '-i', '1', '--metrics', './telemetry.sock'];
  const supervised = start(t, cwd, [...options, 'app.js']);
  await supervised.events('all-ready');
  await supervised.until('a warning', () =>
    supervised.lines.some(line => line.includes('ERR_RUST_CLUSTER_UNANNOUNCED')),
  );
  assert.equal((await status(cwd, ['--metrics', './telemetry.sock'])).pid, supervised.process.pid);
  supervised.process.kill('SIGTERM');
  await supervised.end();
  assert.equal(fs.existsSync(path.join(cwd, 'telemetry.sock')), false);
});

test('it is answered while the JavaScript of the supervisor hangs', async t => {
  const { cwd, supervised } = await shop(t, '127.0.0.1:0', where => ({
    NODE_OPTIONS: `--require ${path.join(where, 'hang.js')}`,
  }));
  supervised.process.kill('SIGUSR2');
  await supervised.until('it hangs', () => supervised.lines.includes('hangs'));
  assert.deepEqual(serving(await status(cwd)), [0, 1]);
});

test('one that has stopped is not found any more, nor one that was killed', async t => {
  const { cwd, supervised } = await shop(t);
  supervised.process.kill('SIGTERM');
  await supervised.end();
  assert.equal(fs.existsSync(fileOf(cwd)), false);
  await fails(cwd, ['shop'], /supervisor shop/);
  // At a port somebody else might be by then.
  const second = start(t, cwd, ['--name', 'shop', '-i', '1', '--metrics', './telemetry.sock', 'app.js']);
  await second.events('all-ready');
  second.process.kill('SIGKILL');
  await second.end();
  await fails(cwd, ['shop'], /ECONNREFUSED/);
  // Nor is another one that has come to its address.
  const other = start(t, cwd, ['--name', 'other', '-i', '1', '--metrics', './telemetry.sock', 'app.js']);
  await other.events('all-ready');
  await fails(cwd, ['shop'], new RegExp(`process ${other.process.pid} answers there`));
  assert.equal((await status(cwd, ['other'])).pid, other.process.pid);
  // The next one of that name tells nothing: what is left is not taken for its word.
  const third = start(t, cwd, ['--name', 'shop', '-i', '1', 'app.js']);
  await third.events('all-ready');
  await fails(cwd, ['shop'], /supervisor shop/);
});

test('an address at which nobody is, is an error, and so is another option', async t => {
  const cwd = folder(t, { 'app.js': SERVER });
  await fails(cwd, ['--metrics', './nobody.sock'], /ENOENT/);
  const { code, stdout } = await run(cwd, ['top', '--json', '--metrics', './nobody.sock']);
  assert.equal(code, 1);
  assert.equal(JSON.parse(stdout).error.code, 'ERR_RUST_CLUSTER_NO_STATUS');
  const { stderr } = await run(cwd, ['top', '--drain', '5s']);
  assert.match(stderr, /ERR_RUST_CLUSTER_UNKNOWN_OPTION/);
});
