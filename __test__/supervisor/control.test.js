'use strict';

// The control socket: who may talk to a supervisor, and that no client harms it.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { before, after, test } = require('node:test');
const { act } = require('../../lib/supervisor/commands');
const { ask, running } = require('../../lib/supervisor/control_client');
const { fileOf, folders, open } = require('../../lib/supervisor/control_socket');
const leftovers = require('../support/leftovers');

const BAD_REQUEST = 'ERR_RUST_CLUSTER_BAD_REQUEST';
const TAKEN = 'ERR_RUST_CLUSTER_NAME_TAKEN';
const isRoot = process.getuid() === 0;

let runtime;
before(() => {
  runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  // Nothing of what else runs as this user is seen.
  process.env.XDG_RUNTIME_DIR = runtime;
  process.env.TMPDIR = runtime;
});
after(() => fs.rmSync(runtime, { recursive: true }));

/** Does what it is asked for, and tells of it. */
class Supervisor extends EventEmitter {
  workers = 2;
  status = () => ({ name: 'x', wanted: this.workers, workers: [] });
  async reload() {
    this.emit('report', { event: 'reload-started' });
    await this.gate;
    if (this.failure) throw this.failure;
    return { replaced: 2 };
  }
  async scale(count) {
    this.workers = count;
    return { count };
  }
  stop = async () => 0;
}

let count = 0;
/** A control socket with a supervisor behind it, of a name of its own. */
function start(t, supervisor = new Supervisor()) {
  const name = `test-${++count}`;
  const control = open(name);
  control.serve((request, report) => act(supervisor, request, report));
  t.after(() => control.close());
  return { name, control, supervisor, file: control.file };
}

/** A client that says what it likes, and what it is answered until the end. */
async function raw(file, bytes, end) {
  const socket = net.connect(file);
  await once(socket, 'connect');
  let answer = '';
  socket.setEncoding('utf8').on('data', text => {
    answer += text;
  });
  // It may be hung up on while it still speaks.
  socket.on('error', () => {});
  if (end) socket.end(bytes);
  else if (bytes) socket.write(bytes);
  await new Promise(resolve => socket.once('close', resolve));
  return answer
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line));
}

/** That the one line of an answer is an error. */
function refused(lines, words) {
  assert.equal(lines.length, 1, JSON.stringify(lines));
  assert.deepEqual([lines[0].done, lines[0].ok, lines[0].error.code], [true, false, BAD_REQUEST]);
  assert.match(lines[0].error.message, words);
}

test('the socket is for its user alone, in a folder for its user alone', t => {
  const { file } = start(t);
  assert.equal(path.dirname(file), path.join(runtime, 'rust-cluster'));
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.equal(fs.statSync(path.dirname(file)).mode & 0o777, 0o700);
});

test('a command is answered, with what happens meanwhile, and with its errors', async t => {
  const { name, supervisor } = start(t);
  assert.deepEqual(await ask(name, { command: 'ps' }), supervisor.status());
  const lines = [];
  assert.deepEqual(await ask(name, { command: 'reload' }, line => lines.push(line)), { replaced: 2 });
  assert.deepEqual(lines, [
    { report: { event: 'reload-started' } },
    { done: true, ok: true, result: { replaced: 2 } },
  ]);
  supervisor.failure = Object.assign(new Error('slot 1 is not ready'), {
    code: 'ERR_X',
    slot: 1,
    lines: ['bye'],
  });
  await assert.rejects(ask(name, { command: 'reload' }), {
    code: 'ERR_X',
    message: 'slot 1 is not ready',
    slot: 1,
    lines: ['bye'],
  });
  assert.equal(supervisor.listenerCount('report'), 0);
});

test('scale takes a number, or how many more or fewer', async t => {
  const { name, supervisor } = start(t);
  for (const [request, workers] of [
    [{ count: 5 }, 5],
    [{ by: 2 }, 7],
    [{ by: -3 }, 4],
  ]) {
    await ask(name, { command: 'scale', ...request });
    assert.equal(supervisor.workers, workers);
  }
  for (const request of [{}, { count: 0 }, { by: -4 }, { count: '5' }, { count: 1.5 }, { by: 'x' }])
    await assert.rejects(ask(name, { command: 'scale', ...request }), { code: BAD_REQUEST });
  assert.equal(supervisor.workers, 4);
});

test('a client that says anything else harms nobody', async t => {
  const { name, file } = start(t);
  refused(await raw(file, 'garbage\n'), /no JSON/);
  refused(await raw(file, Buffer.from([0, 0xff, 0xfe, 10])), /no JSON/);
  for (const text of [
    '{}',
    'null',
    '[]',
    '5',
    '{"command":"rm"}',
    '{"command":"constructor"}',
    '{"command":["ps"]}',
  ])
    refused(await raw(file, `${text}\n`), /"command" is none of/);
  refused(await raw(file, '{"command":"ps"}', true), /a line without an end/);
  refused(await raw(file, '', true), /a line without an end/);
  refused(await raw(file, 'x'.repeat(2 ** 20)), /more than 65536 bytes/);
  refused(await raw(file, `${'x'.repeat(2 ** 20)}\n`), /more than 65536 bytes/);
  assert.ok(await ask(name, { command: 'ps' }));
});

test('who goes away before the answer is not missed, and what he asked for is done', async t => {
  const supervisor = new Supervisor();
  let go;
  supervisor.gate = new Promise(resolve => {
    go = resolve;
  });
  const { name, file } = start(t, supervisor);
  const socket = net.connect(file);
  await once(socket, 'connect');
  socket.write('{"command":"reload"}\n');
  await once(supervisor, 'report');
  socket.destroy();
  const again = ask(name, { command: 'reload' });
  await once(supervisor, 'report');
  go();
  assert.deepEqual(await again, { replaced: 2 });
});

test('who says nothing keeps nobody from being answered, and is told to go at the end', async t => {
  const { name, file, control } = start(t);
  const silent = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = net.connect(file).on('error', () => {});
      await once(socket, 'connect');
      return socket;
    }),
  );
  assert.ok(await ask(name, { command: 'ps' }));
  for (const socket of silent) socket.destroy();
  await control.close();
});

const watched = { timeout: 120_000 };
test('who does not read is hung up on, before memory is full', watched, async t => {
  const supervisor = new Supervisor();
  supervisor.gate = new Promise(() => {});
  const { file } = start(t, supervisor);
  const socket = net.connect(file);
  await once(socket, 'connect');
  socket.pause().write('{"command":"reload"}\n');
  await once(supervisor, 'report');
  const closed = new Promise(resolve => socket.once('close', resolve));
  const words = 'x'.repeat(2 ** 16);
  for (let sent = 0; sent < 64; sent++) supervisor.emit('report', { words });
  socket.resume();
  await closed;
});

test('a second one of a name is refused, while the first lives', async t => {
  const { name, control } = start(t);
  assert.throws(() => open(name), { code: TAKEN, message: new RegExp(`of the name ${name} runs already`) });
  assert.deepEqual(await running(), [name]);
  await control.close();
  assert.deepEqual(await running(), []);
  await assert.rejects(ask(name, { command: 'ps' }), {
    code: 'ERR_RUST_CLUSTER_NOT_RUNNING',
    message: /None runs at all/,
  });
  const again = open(name);
  await again.close();
  assert.ok(!fs.existsSync(again.file));
});

/** Starts processes that open a control socket of this name, and say how that went. */
function opener(name, then) {
  const file = JSON.stringify(require.resolve('../../lib/supervisor/control_socket'));
  const code = `process.stdin.once('data', () => {
    let control;
    try { control = require(${file}).open(${JSON.stringify(name)}); control.serve(async () => process.pid); console.log('open'); }
    catch (error) { console.log(error.code); }
    ${then}
  }); console.log('here')`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
  leftovers.track(child.pid);
  child.stdout.setEncoding('utf8');
  return child;
}

test('of several that want a name which a killed one has left, one gets it, each time', async () => {
  for (let round = 0; round < 3; round++) {
    const name = `killed-${round}`;
    const first = opener(name, '');
    await once(first.stdout, 'data');
    first.stdin.write('go');
    assert.equal(`${await once(first.stdout, 'data')}`, 'open\n');
    first.kill('SIGKILL');
    await once(first, 'exit');
    assert.ok(fs.existsSync(fileOf(folders()[0], name)), 'it has left its socket');
    await assert.rejects(ask(name, { command: 'ps' }), { code: 'ERR_RUST_CLUSTER_NOT_RUNNING' });
    const several = Array.from({ length: 4 }, () => opener(name, ''));
    await Promise.all(several.map(child => once(child.stdout, 'data')));
    for (const child of several) child.stdin.write('go');
    const said = await Promise.all(several.map(async child => `${await once(child.stdout, 'data')}`.trim()));
    assert.deepEqual(said.toSorted(), [TAKEN, TAKEN, TAKEN, 'open'].toSorted());
    const winner = several[said.indexOf('open')];
    assert.equal(await ask(name, { command: 'ps' }), winner.pid);
    for (const child of several) child.kill('SIGKILL');
    await Promise.all(several.map(child => once(child, 'exit')));
  }
});

/** A temporary folder for what has no runtime folder, in the place of everybody's. */
function temporary(t, runtimeFolder) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  const before = { XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR, TMPDIR: process.env.TMPDIR };
  t.after(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    fs.rmSync(place, { recursive: true });
  });
  process.env.XDG_RUNTIME_DIR = runtimeFolder;
  process.env.TMPDIR = place;
  return place;
}

test('without a folder of its user alone there is no socket', t => {
  const place = temporary(t, '');
  const folder = folders()[0];
  const denied = words =>
    assert.throws(() => open('x'), { code: 'ERR_RUST_CLUSTER_NO_CONTROL', message: words });
  fs.mkdirSync(folder, { mode: 0o777 });
  fs.chmodSync(folder, 0o777);
  denied(/others may use it \(777\)/);
  fs.rmdirSync(folder);
  fs.symlinkSync(place, folder);
  denied(/it is no folder/);
  fs.unlinkSync(folder);
  if (isRoot) {
    fs.mkdirSync(folder, { mode: 0o700 });
    fs.chownSync(folder, 65534, 65534);
    denied(/it belongs to user 65534/);
  }
});

test('a folder that is named and cannot be used is passed over for the temporary one', async t => {
  const place = temporary(t, '/proc/none');
  const control = open('shop');
  assert.equal(control.file, path.join(place, `rust-cluster-${process.geteuid()}`, 'shop.sock'));
  control.serve(async () => 'here');
  assert.equal(await ask('shop', { command: 'ps' }), 'here');
  await control.close();
});

const skip = !isRoot && 'only root can be another user';
test('another user is refused on either side, even if the file lets him in', { skip }, async t => {
  // A folder that the other user can look into, which ours never is.
  const { name, file } = start(t);
  for (const folder of [runtime, path.dirname(file)]) fs.chmodSync(folder, 0o711);
  fs.chmodSync(file, 0o666);
  const talk = `const socket = require('net').connect(process.argv[1]);
    socket.on('data', data => process.stdout.write(data)); socket.write('{"command":"stop"}\\n');`;
  const as = { uid: 65534, gid: 65534, cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const client = spawn(process.execPath, ['-e', talk, file], as);
  let said = '';
  for await (const text of client.stdout) said += text;
  const { error } = JSON.parse(said);
  assert.equal(error.code, 'ERR_RUST_CLUSTER_OTHER_USER', said);
  assert.match(error.message, /^The client of this control socket is user 65534/);
  assert.ok(await ask(name, { command: 'ps' }));
  // Root may ask anybody's, so he who is refused by what he finds at the other end is the other user.
  const asks = `process.geteuid = () => 65534; process.env.XDG_RUNTIME_DIR = ${JSON.stringify(runtime)};
    require(${JSON.stringify(require.resolve('../../lib/supervisor/control_client'))})
    .ask(${JSON.stringify(name)}, { command: 'ps' }).catch(error => console.log(error.code))`;
  const asking = spawn(process.execPath, ['-e', asks], { stdio: ['ignore', 'pipe', 'inherit'] });
  let found = '';
  for await (const text of asking.stdout) found += text;
  assert.equal(found.trim(), 'ERR_RUST_CLUSTER_OTHER_USER');
});
