'use strict';

// What processes say to each other over the bus: channels, requests, locks, one leader, what is kept for all.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { run: runProgram } = require('../support/program');
const { facts, runCase } = require('../support/run-case');
const way = require('../support/way');

const PROGRAM = 'bus/programs/bus.js';
const skip = way === 'node' && "Node's own cluster has no bus";

const run = (name, exits = [0, 0]) => runCase(PROGRAM, name, { exits });

/** Each is said once, by one process. */
const once = said => Object.fromEntries(Object.entries(said).map(([name, [value]]) => [name, value]));

const nobody = topic => [
  'Error',
  'ERR_RUST_CLUSTER_BUS_NOBODY',
  `A request was made on '${topic}', and nobody answers there: call answer() in another process first`,
];

test('what is posted arrives in its order at all others, in all processes', { skip }, async () => {
  const said = once(await run('broadcast'));
  const ofSlot = slot => [0, 1, 2].map(number => `${slot}.${number}`);
  const from = slot => ofSlot(slot).map(data => [data, slot]);
  assert.deepEqual(said, {
    'primary heard of 0': ofSlot(0),
    'primary heard of 1': ofSlot(1),
    '0 heard': from(1),
    '1 heard': from(0),
    '0 heard of the primary': [['bye', 'primary']],
    '1 heard of the primary': [['bye', 'primary']],
    '0, second': from(0),
    '1, second': from(1),
  });
});

test('values are cloned as structuredClone() does it', { skip }, async () => {
  const said = await run('kinds of values', [0]);
  assert.deepEqual(said['cannot be cloned'], Array(8).fill([true, 'DataCloneError']));
  assert.deepEqual(said.value, [[[[1, 'x']], 5, 'far', [1, 2], 'b', [0.5], `${2n ** 70n}`, true, true]]);
  assert.deepEqual(said['own memory'], [true]);
  assert.deepEqual(said['cannot be read'], [[true, 0]]);
  assert.deepEqual(said['cannot be kept'], [true]);
});

test('copies are equal to those of structuredClone(), whichever way they travel', { skip }, async () => {
  assert.deepEqual(await run('exact copies', [0]), { compared: [true] });
});

test('a channel may have any name', { skip }, async () => {
  const said = once(await run('odd names', [0]));
  const numbers = [...said.heard.keys()];
  assert.deepEqual(said, { heard: numbers, names: true, answers: numbers });
});

test('a channel is what the web makes of it', { skip }, async () => {
  const tooLong = bytes =>
    `The name of a channel has at most 1024 bytes. Received ${bytes}: put what tells them apart into the message, or hash it`;
  const said = once(await run('as the web has it', []));
  assert.deepEqual(said, {
    'no name': ['TypeError', 'ERR_MISSING_ARGS', 'The "name" argument must be specified'],
    'a symbol': ['TypeError', '', 'Cannot convert a Symbol value to a string'],
    'a long name': ['RangeError', 'ERR_INVALID_ARG_VALUE', tooLong(1025)],
    'a long name of few letters': ['RangeError', 'ERR_INVALID_ARG_VALUE', tooLong(1026)],
    name: '5',
    shown: '[object BroadcastChannel]',
    'is one': true,
    'no message': ['TypeError', 'ERR_MISSING_ARGS', 'The "message" argument must be specified'],
    'no function': [
      'TypeError',
      'ERR_INVALID_ARG_TYPE',
      `The "answer" argument must be of type function, or null. Received type string ('x')`,
    ],
    'no handler': null,
    handler: 'function',
    order: ['instead of the first', 'second'],
    large: [
      'TypeError',
      'ERR_INVALID_ARG_VALUE',
      "The property 'options.to' must be 'any', 'all', 'primary' or the number of a slot. Received -1",
    ],
    'too large': [
      'RangeError',
      'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE',
      'A value of 16777219 bytes is too large for rust-cluster/bus; the limit is 16777216. Share it in pieces, or as a file',
    ],
    closed: ['InvalidStateError', 11, 'BroadcastChannel is closed.'],
    'closed, a request': ['InvalidStateError', 11, 'BroadcastChannel is closed.'],
  });
});

test('a request is answered by one, by all, or by whom it is for', { skip }, async () => {
  assert.deepEqual(once(await run('requests')), {
    any: ['1', 'primary'],
    all: [
      { from: '1', status: 'fulfilled', value: [1, 'q', 0] },
      { from: 'primary', status: 'fulfilled', value: ['primary', 'q'] },
    ],
    slot: [1, 'q', 0],
    primary: ['primary', 'q'],
    itself: nobody('work'),
    thrown: ['TypeError', 'E_NO', 'no'],
    odd: ['DataCloneError', 25, '() => {} could not be cloned.'],
    nobody: nobody('empty'),
    'all of nobody': [],
    aborted: ['Error', '', 'enough'],
    'aborted before': ['Error', '', 'enough'],
    signal: 'aborted',
  });
});

test('who waits for one that is killed is told', { skip }, async () => {
  const said = once(await run('one that was asked is killed', ['SIGKILL', 'SIGKILL']));
  const gone = slot => [slot, 'rejected', 'ERR_RUST_CLUSTER_BUS_GONE'];
  assert.deepEqual(said.all.sort(), [gone(0), gone(1)]);
  assert.deepEqual(said['nobody is left'], nobody('work'));
});

test('one that does not read costs the others nothing, and is told what it has missed', {
  skip,
}, async () => {
  const said = once(await run('a slow reader'));
  assert.deepEqual(said, {
    'the quick one': { heard: 4000, missed: 0, published: 0, inOrder: true },
    'the slow one': [4000, true, true, true, true],
  });
});

test('who subscribes by diagnostics_channel is told what is posted and what arrives', { skip }, async () => {
  const { told, uncaught, 'told in a worker': inWorker } = once(await run('observed', [0]));
  const ofWorker = [
    { name: 'news', data: { a: 1 } },
    { name: 'news', data: 'last' },
  ];
  assert.deepEqual(inWorker, ofWorker);
  assert.equal(uncaught, 'thrown by a subscriber');
  assert.deepEqual(ofKind(told, 'publish'), [{ name: 'news', data: {} }]);
  // Not to the one that posts, nor to one that is closed; to each of the others.
  const [own, ...others] = ofKind(told, 'deliver');
  assert.deepEqual(own, { name: 'news', from: 'primary', data: {} });
  assert.deepEqual(
    others,
    [{ a: 1 }, { a: 1 }, 'last', 'last'].map(data => ({ name: 'news', from: 0, data })),
  );
});

const ofKind = (told, kind) => told.filter(([other]) => other === kind).map(([, message]) => message);

test("workers talk to each other while the primary's loop does not turn", { skip }, async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bus-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const said = await runCase(PROGRAM, 'the primary computes', { exits: [0, 0], env: { FOLDER: folder } });
  assert.deepEqual(once(said), { '0 is answered': true, '1 is answered': true });
});

test('locks are those of the web', { skip }, async () => {
  const held = [{ name: 'held', mode: 'exclusive', clientId: '0' }];
  assert.deepEqual(once(await run('locks')), {
    available: true,
    query: [held, [{ ...held[0], clientId: '1' }]],
    aborted: 'AbortError',
    lost: 'AbortError',
    stolen: 'held',
    'the holder': 'AbortError',
    thrown: ['Error', '', 'mine'],
    value: 7,
    mode: [
      'TypeError',
      'ERR_INVALID_ARG_VALUE',
      "The property 'options.mode' must be 'exclusive' or 'shared'. Received 'other'",
    ],
    hyphen: ['NotSupportedError', 9, 'Names that begin with a hyphen are reserved.'],
    both: ['NotSupportedError', 9, 'steal and ifAvailable cannot be used together.'],
    'no callback': [
      'TypeError',
      'ERR_INVALID_ARG_TYPE',
      'The "callback" argument must be of type function. Received undefined',
    ],
  });
});

test('the lock and the lead of one that is killed go to the next', { skip }, async () => {
  assert.deepEqual(once(await run('a holder is killed', ['SIGKILL'])), { next: ['it is mine', 'leads'] });
});

test('one leads at a time, and the lead moves once a worker that leaves has let go', { skip }, async () => {
  const said = await run('leadership moves');
  assert.deepEqual(said, {
    told: Array(2).fill([1, 'AbortError']),
    value: ['led', 'led'],
    another: [true],
    nobody: [[]],
  });
});

test('values and counters are kept for a while, in a bounded memory', { skip }, async () => {
  const wrong = (name, code, message) => [name, code, message];
  const noCounter = wrong(
    'Error',
    'ERR_RUST_CLUSTER_BUS_REFUSED',
    'increment() was called for a key under which set() keeps what is no integer: use another key, or delete it first',
  );
  assert.deepEqual(once(await run('store', [])), {
    nothing: 'undefined',
    value: { a: [1] },
    'no counter': noCounter,
    set: [-2, true, noCounter],
    'set anew': [true, true],
    deleted: [true, false, 'undefined'],
    counted: [{ value: 1, ttl: 0 }, { value: -2, ttl: 0 }, -2],
    lives: [3_600_000, 2, true],
    gone: 1,
    brief: 'is gone',
    kept: 2,
    key: wrong(
      'TypeError',
      'ERR_INVALID_ARG_TYPE',
      'The "key" argument must be of type string. Received type number (5)',
    ),
    'long key': wrong(
      'RangeError',
      'ERR_INVALID_ARG_VALUE',
      'The name of a key has at most 1024 bytes. Received 1025: put what tells them apart into the message, or hash it',
    ),
    ttl: wrong(
      'RangeError',
      'ERR_INVALID_ARG_VALUE',
      "The property 'options.ttl' must be an integer of milliseconds from 0 (for ever). Received -1",
    ),
    by: wrong(
      'TypeError',
      'ERR_INVALID_ARG_VALUE',
      "The property 'options.by' must be an integer. Received 0.5",
    ),
    'no clone': wrong('DataCloneError', 25, '() => {} could not be cloned.'),
    old: ['undefined', 'undefined', 1048576],
  });
});

test('a thread is told that it is no member', { skip }, async () => {
  assert.deepEqual(once(await run('who is no member', [])), { 'a thread': 'ERR_RUST_CLUSTER_NO_BUS' });
});

test('a worker whose primary is killed is told that the bus is gone', { skip }, async () => {
  await runProgram(PROGRAM, { env: { CASE: 'the primary is killed' } }, async program => {
    await program.end();
    const gone = [
      'Error',
      'ERR_RUST_CLUSTER_BUS_GONE',
      'The bus is gone: the primary has ended, or this process has asked for 64 MiB and not read them',
    ];
    assert.deepEqual(once(facts(program)), {
      before: nobody('x'),
      'the lock': gone,
      after: gone,
      'a request': gone,
    });
  });
});
