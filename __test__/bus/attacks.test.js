'use strict';

// Members of the bus that say nonsense, throw what nobody can tell, ask without end, or go at the wrong moment: whoever
// waits for them is told, and nothing stays behind.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { runCase } = require('../support/run-case');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has no bus";

const run = (name, exits = [0], options = {}) =>
  runCase('bus/programs/attacks.js', name, { exits, ...options });

const notJoined = why => [
  'Error',
  'ERR_RUST_CLUSTER_NO_BUS',
  `This worker was to join the bus, and the primary could not let it in: ${why}`,
];

test('nonsense for an answer or a value rejects what waits for it, and nothing else', { skip }, async () => {
  assert.deepEqual(await run('nonsense', ['SIGKILL']), {
    heard: ['good'],
    'an answer': Array(7).fill(true),
    'of all': [[0, 'rejected', true]],
    'an odd name': [['constructor', 'm']],
    'a value': [true],
    good: ['fine'],
    'message errors': [[true]],
    'told of them': [[0]],
  });
});

test('whatever an answer throws, who has asked is told', { skip }, async () => {
  assert.deepEqual(await run('reasons that cannot be told'), {
    large: [['RangeError', 'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE']],
    symbol: [['TypeError', '']],
    getter: [['TypeError', '']],
    'all getters': [['DataCloneError', 25]],
    'large value': [['RangeError', 'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE']],
    null: [null],
  });
});

test('a lock and the lead are had in the context that asked for them', { skip }, async () => {
  assert.deepEqual(await run('contexts', []), { 'a lock': ['one', 'two'], 'a leader': ['one', 'two'] });
});

test('nothing of a lock or a leader is left on a signal, and nobody warns', { skip }, async () => {
  assert.deepEqual(await run('signals are let go', []), { listeners: [0] });
});

test('a worker that has disconnected is told that it cannot join, and ends', { skip }, async () => {
  const why = notJoined('it has disconnected');
  assert.deepEqual(await run('after the end of the channel'), { 'a channel': [why], 'a lock': [why] });
  assert.deepEqual(await run('the channel ends meanwhile'), { 'a lock': [why] });
});

test('nobody begins to lead in a worker that leaves', { skip }, async () => {
  assert.deepEqual(await run('a leader that is late'), {
    another: ['undefined'],
  });
});

test('a worker that joins without end gets few sockets', { skip }, async () => {
  assert.deepEqual(await run('joins without end', ['SIGKILL']), {
    'the last': [['it has joined 16 times already', -1]],
    sockets: [true],
  });
});

for (const who of ['the primary', 'a worker']) {
  test(`a worker joins once there is a descriptor for it: ${who} had none`, { skip }, async () => {
    const said = await run(`${who} has no descriptor left`, [0], { descriptors: 128 });
    assert.deepEqual(said.joined, [[1, 1]]);
    assert.deepEqual(said['asked again'], who === 'the primary' ? [true] : undefined);
  });
}

test('one that floods the hub is told that it is too much, and costs nobody else anything', {
  skip,
}, async () => {
  const tooMany = { 'too many': 20_000 - 16_384 };
  assert.deepEqual(await run('floods', ['SIGKILL']), {
    refused: [{ channels: tooMany, answers: tooMany, locks: tooMany, requests: tooMany }],
    'a counter': [{ value: 1, ttl: 0 }],
    'a lock': ['held'],
    'its locks': [true],
  });
});

test('names that are too long together are told so, and the others go on', { skip }, async () => {
  const refused = [
    'Error',
    'ERR_RUST_CLUSTER_BUS_REFUSED',
    "The names of this process's channels, of those that it answers on, or of its locks, have more than 1 MiB together: " +
      'close some, or hash what the names tell apart',
  ];
  const warning = /ERR_RUST_CLUSTER_BUS_REFUSED|--trace-warnings/;
  assert.deepEqual(await run('names that are too long', [], { stderr: warning }), {
    another: [refused],
    'a warning': [refused],
    instead: ['undefined'],
    'a lock': [refused],
  });
});

test('a process joins once the kernel can watch its socket', { skip }, async () => {
  assert.deepEqual(await run('the hub cannot watch another'), { joined: [[1, 1]], left: [0] });
});

test('a channel is not ready before the hub has heard of it', { skip }, async () => {
  assert.deepEqual(await run('ready before it has joined'), { before: [false], afterwards: [true] });
});

test('a channel too many is told so, and the others go on', { skip }, async () => {
  const refused = [
    'Error',
    'ERR_RUST_CLUSTER_BUS_REFUSED',
    'This process has 16,384 channels, requests or locks that are open or waited for: close some, or wait for answers',
  ];
  const warning = /ERR_RUST_CLUSTER_BUS_REFUSED|--trace-warnings/;
  assert.deepEqual(await run('too many channels', [], { stderr: warning }), {
    another: [refused],
    'a warning': [refused],
    'the first': ['undefined'],
    instead: ['undefined'],
  });
});

test('a primary that cannot load its part of the bus lives on, and says so', { skip }, async () => {
  assert.deepEqual(await run('the package is replaced'), { 'a value': [notJoined('it is gone')] });
});

test('two copies of the package in the primary are on one bus', { skip }, async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bus-copies-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  assert.deepEqual(await run('two copies', [0], { env: { FOLDER: folder } }), {
    heard: ['of the first copy'],
  });
});

test("where Node's own cluster serves, the bus says that there is none", () => {
  const program = `
    Object.defineProperty(process, 'platform', { value: 'sunos' });
    const { BroadcastChannel, locks, store } = require('rust-cluster/bus');
    const say = ({ code, message }) => console.log(code, message.split(':')[0]);
    try { new BroadcastChannel('x') } catch (error) { say(error) }
    Promise.all([locks.request('x', () => {}).catch(say), store.get('x').catch(say)]);`;
  const options = { cwd: path.join(__dirname, '..', '..'), encoding: 'utf8' };
  const { stdout } = spawnSync(process.execPath, ['-e', program], options);
  const said = 'ERR_RUST_CLUSTER_NO_BUS rust-cluster/bus needs Node on Linux, and this is sunos';
  assert.deepEqual(stdout.trim().split('\n'), Array(3).fill(said));
});
