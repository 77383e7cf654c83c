'use strict';

// README.md of this folder against its tests: every numbered line, every member and event, and every defect has a
// test that names it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const DOCUMENT = path.join(__dirname, 'README.md');

/** How many lines 'Easy to get wrong' has; the tests of line n are named 'compat n: …'. */
const EASY_TO_GET_WRONG = 18;

/** Members, settings, events and variables of 'The surface'; each is a word in the name of a 'surface: …'. */
const SURFACE = {
  primary: [
    'fork',
    'setupPrimary',
    'setupMaster',
    'disconnect',
    'isPrimary',
    'isMaster',
    'isWorker',
    'schedulingPolicy',
    'SCHED_NONE',
    'SCHED_RR',
    'settings',
    'workers',
    'Worker',
    'EventEmitter',
  ],
  settings: [
    'execArgv',
    'exec',
    'args',
    'cwd',
    'serialization',
    'silent',
    'stdio',
    'uid',
    'gid',
    'inspectPort',
    'windowsHide',
    '--prof',
    '--logfile',
  ],
  worker: [
    'worker',
    'id',
    'process',
    'exitedAfterDisconnect',
    'state',
    'send',
    'kill',
    'destroy',
    'isConnected',
    'isDead',
    'suicide',
  ],
  events: ['setup', 'fork', 'online', 'listening', 'message', 'disconnect', 'exit', 'error'],
  environment: ['NODE_CLUSTER_SCHED_POLICY', 'NODE_DEBUG'],
};

/** Words of 'The surface' that are values, not names. */
const VALUES = ['SCHED_', 'null', 'ERR_SOCKET_BAD_PORT', 'listen', 'length', 'new', 'env', 'cb', 'port'];

/** Each of the 'Defects that others shipped', by words of its own, and the names of its tests. */
const DEFECTS = {
  'partial `sendmsg`': ['bun#28764: a descriptor is attached once', 'bun#28764: a partial sendmsg'],
  'first control message': [
    'bun#37427, bun#38242, deno#33605: received descriptors',
    'bun#37427, bun#38242, deno#33605: MSG_CTRUNC',
    'bun#37427: MSG_CMSG_CLOEXEC',
    'bun#38242: descriptors that no frame announces',
  ],
  'taken when the queue drains': ['deno#34661: the descriptor is duplicated'],
  'ownership flag': ['bun#31829: what cannot be adopted'],
  'arrives after `close()`': ['bun#34659, bun#42614: an answer after close()'],
  "received descriptor's `listen({fd})`": ['bun#31715: a received server'],
  'Unix path not unlinked': ['bun#31829: a Unix path goes'],
  'exactly one owner': [
    'bun#31829: a connection has one owner',
    'bun#31829: what a dead worker has not taken',
    'bun#31829: what all refuse',
    'bun#31829: a worker that refused',
  ],
  'sent twice': ['bun#31829: a connection queued', 'bun#31829: a full queue'],
  'read in the primary before the handoff': ['bun#34659: bytes sent before'],
  'kept the slot': ['clients that left while queued'],
  'callbacks of dead workers': [
    'bun#33057: nothing is kept',
    'bun#33057: no descriptor',
    'bun#33057: callbacks',
  ],
  'foreign `NODE_*`': ['bun#34659: a foreign NODE_ message', 'bun#34659: a user cannot answer'],
  'overtook each other': ['handles: thousands between messages, in order'],
  'dead-locked the sender': ['deno#35968, v0#7466: no answer'],
  "lost 'online'": ['bun#30548: disconnect() before boot'],
  'one failing bind': ['bun#34076: a bind that fails for several'],
  'asked for the bind died': ['bun#33025: the worker that asked'],
  'positive errno': ['bun#34076: a bind that fails for several, negative errno'],
  '`reusePort` lost': ['compat 2: reusePort bypasses the primary'],
  '`maxConnections`': ['bun#34432: maxConnections'],
  'TLS and plain servers': ['bun#31829: servers with and without TLS'],
  'unexpected worker exit code': ['of tests: an unexpected exit code'],
};

/** The names of all tests beside this one, as they are written. */
function namesOfTests() {
  const name = /(?:test\(\s*|\bdefect:\s*)(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g;
  return fs
    .readdirSync(__dirname)
    .filter(file => file.endsWith('.test.js'))
    .map(file => fs.readFileSync(path.join(__dirname, file), 'utf8'))
    .flatMap(text => [...text.matchAll(name)])
    .map(([, ...quoted]) => quoted.find(Boolean));
}

const names = namesOfTests();

for (let line = 1; line <= EASY_TO_GET_WRONG; line++) {
  test(`line ${line} of 'Easy to get wrong' has a test`, () => {
    assert.ok(names.some(name => name.startsWith(`compat ${line}: `)));
  });
}

for (const [kind, words] of Object.entries(SURFACE)) {
  test(`'The surface' has a test of each word: ${kind}`, () => {
    const without = words.filter(
      word => !names.some(name => name.startsWith('surface: ') && isIn(word, name)),
    );
    assert.deepEqual(without, []);
  });
}

for (const [defect, tests] of Object.entries(DEFECTS)) {
  test(`a defect that others shipped has its tests: ${defect}`, () => {
    const without = tests.filter(start => !names.some(name => nameOf(name).startsWith(start)));
    assert.deepEqual(without, []);
  });
}

/** What a test is called behind the word 'defect'. */
function nameOf(name) {
  return name.replace(/^defect:? /, '');
}

function isIn(word, text) {
  return new RegExp(`(?<!\\w)${word}(?!\\w)`).test(text);
}

/** @returns {string} what the document says under a heading */
function section(heading) {
  const [, text] = fs.readFileSync(DOCUMENT, 'utf8').split(`## ${heading}`);
  return text.split('\n## ')[0].replace(/^.*\n/, '');
}

test('the table has every line of the document', () => {
  const numbers = section('Easy to get wrong').match(/^\d+(?=\. )/gm);
  assert.deepEqual(
    numbers,
    Array.from({ length: EASY_TO_GET_WRONG }, (_, n) => `${n + 1}`),
  );

  const known = [...Object.values(SURFACE).flat(), ...VALUES];
  const words = Array.from(
    section('The surface').matchAll(/`((?:--)?[A-Za-z_]+)[^`]*`/g),
    ([, word]) => word,
  );
  const unknown = new Set(words.filter(word => !known.includes(word)));
  assert.deepEqual([...unknown], []);

  const pieces = section('Defects that others shipped')
    .split(/\n\n| · /)
    .map(piece => piece.replaceAll('\n', ' '));
  const keys = Object.keys(DEFECTS);
  for (const piece of pieces)
    assert.ok(
      keys.some(key => piece.includes(key)),
      piece,
    );
  for (const key of keys) assert.equal(pieces.filter(piece => piece.includes(key)).length, 1, key);
});
