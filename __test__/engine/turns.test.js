'use strict';

// Each message and each connection has a tick and an asynchronous context of its own, and what a listener throws
// concerns no other, nor the cluster.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { runCase } = require('../support/run-case');
const way = require('../support/way');

const PROGRAM = 'engine/programs/turns.js';
const MESSAGES = [1, 2, 3, 4, 5];
const of = message => `of ${message}`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-turns-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** What the case has seen; Node's own cluster, under which it runs too, has seen the same. */
async function seen(name, options) {
  const files = of => ({
    STOPPED: path.join(folder, `${of} stopped`),
    SENT: path.join(folder, `${of} sent`),
  });
  const { seen: ours } = await runCase(PROGRAM, name, { ...options, env: files('ours') });
  const { seen: theirs } = await runCase(PROGRAM, name, {
    ...options,
    env: { ...files('theirs'), CLUSTER: 'node' },
  });
  assert.deepEqual(ours, theirs);
  return ours[0];
}

test('messages that arrive together: each in a context of its own, and before what they put off', async () => {
  const log = await seen('messages', { exits: [0] });
  assert.deepEqual(log, [
    ...MESSAGES.map(message => `message ${message} in undefined`),
    ...MESSAGES.map(message => `tick ${message} in ${message}`),
    ...MESSAGES.map(message => `promise ${message} in ${message}`),
  ]);
});

test('connections that arrive together: each in a context of its own', async () => {
  const contexts = await seen('connections', { exits: [0] });
  assert.deepEqual(
    contexts,
    MESSAGES.map(() => 'undefined'),
  );
});

test('messages that came before their listener: each in a context of its own', {
  skip: way === 'node' && "Node's own cluster delivers them in one",
}, async () => {
  const {
    seen: [log],
  } = await runCase(PROGRAM, 'messages that nobody heard', { exits: [0] });
  assert.deepEqual(
    log,
    MESSAGES.map(message => `${message} in undefined`),
  );
});

const ours = way === 'node' && "Node's own cluster loses what comes after it";

test('a listener of messages throws: the others are told, and then the exit', { skip: ours }, async () => {
  const { seen } = await runCase(PROGRAM, 'a listener of messages throws', { exits: [7] });
  assert.deepEqual(seen, [[MESSAGES, MESSAGES.map(of), 7]]);
});

test('listeners of everything throw: all is told, to the cluster too, and once', { skip: ours }, async () => {
  const { seen, disconnected } = await runCase(PROGRAM, 'listeners of everything throw', { exits: [0, 0] });
  const events = ['disconnect', 'exit', 'listening', 'online'];
  const told = [
    ...['disconnect', 'exit', 'fork', 'listening', 'online'].map(event => `of cluster, ${event}`),
    ...events.map(event => `of worker, ${event}`),
  ];
  assert.deepEqual(seen, [[told.flatMap(text => [text, text]), []]]);
  assert.deepEqual(disconnected, [true]);
});

test('the primary goes while a listener of the worker throws: the worker goes too', {
  skip: ours,
}, async () => {
  // Whoever holds its output is waited for.
  const { worker } = await runCase(PROGRAM, 'the primary goes while a listener throws');
  assert.equal(worker.length, 1);
});

test('a scheduling policy that is none is refused each time', { skip: ours }, async () => {
  const { refused } = await runCase(PROGRAM, 'a scheduling policy that is none');
  assert.deepEqual(refused, ['ERR_INTERNAL_ASSERTION', 'ERR_INTERNAL_ASSERTION']);
});
