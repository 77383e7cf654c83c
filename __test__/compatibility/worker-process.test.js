'use strict';

// worker.process, and `process` in the worker, held against child_process.fork(): the same program says the same
// when its children are workers.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const differences = require('../support/differences');
const { run } = require('../support/program');
const { facts } = require('../support/run-case');

const PROGRAM = 'compatibility/programs/worker-process.js';

/** The ends of the workers, in the order of the scenarios. The last has no end: it outlives the primary. */
const exits = [3, 0, 'SIGTERM', 'SIGKILL', 'SIGTERM', 0, 20, 0, 0, 0, 'SIGTERM', 'SIGTERM'];

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

async function report(name, env, options) {
  let said;
  await run(PROGRAM, { env: { FILE: path.join(folder, name), ...env }, ...options }, async program => {
    const end = await program.end();
    assert.deepEqual(end, { code: 0, signal: null }, program.stderr.join('\n'));
    said = facts(program);
  });
  return said;
}

/** Where two processes are watched, the order in which their ends are seen is left to chance. */
const unordered = (name, values) =>
  name.endsWith(': events') ? values.map(v => JSON.stringify(v)).sort() : values;

describe('worker.process is what child_process.fork() returns', () => {
  let fork;
  let worker;

  before(async () => {
    fork = await report('fork', { STARTED_BY: 'fork' });
    worker = await report('cluster', { STARTED_BY: 'cluster' }, { exits });
  });

  const scenarios = {
    exit: ['members', 'state', 'is', 'spawn', 'stdio', 'channel', 'has a reference', 'events', 'after close'],
    silent: ['stdio', 'stdout', 'stderr', 'events', 'after close'],
    kill: [
      '0',
      'a signal that is none',
      'a number that is none',
      'an object',
      'SIGWINCH',
      'a name in small letters',
      'SIGTERM',
      'after the end',
      'events',
      'after close',
    ],
    'killed from outside': ['events', 'after close'],
    dispose: ['events', 'after close'],
    'disconnect()': ['returns', 'state', 'again', 'send returns', 'send', 'events', 'after exit'],
    'no such cwd': ['state', 'stdio', 'send', 'kill', 'events'],
    'back-pressure': [
      'called before the turn ends',
      'true, then false',
      'called back in order',
      'events',
      'after close',
    ],
    'messages without listener': ['got', 'events', 'after exit'],
    'internal messages': ['told', 'events', 'after close'],
    'the other end': [
      'execArgv',
      'argv',
      'environment',
      'connected',
      'types',
      'own',
      'channel',
      '_channel',
      'fd',
      'grandchild',
      'events',
      'after close',
    ],
    'ref()': ['events', 'after close'],
    'channel.ref()': ['events', 'after close'],
    'unref()': ['ref and unref', 'at exit'],
  };

  for (const [scenario, names] of Object.entries(scenarios)) {
    for (const name of names) {
      test(`worker.process: ${scenario}: ${name}`, () => {
        const fact = `${scenario}: ${name}`;
        assert.ok(fork[fact], 'child_process.fork() says it');
        const found = unordered(fact, worker[fact]);
        if (name === 'channel') for (const member of differences.ownChannelMembers) delete found[0][member];
        assert.deepEqual(found, unordered(fact, fork[fact]));
      });
    }
  }

  test('worker.process: nothing else is said', () => {
    assert.deepEqual(Object.keys(worker).sort(), Object.keys(fork).sort());
  });

  for (const scenario of ['exit', 'silent', 'kill', 'killed from outside', 'dispose', 'back-pressure']) {
    test(`worker.process: disconnect, exit and close come in this order: ${scenario}`, () => {
      const names = worker[`${scenario}: events`].map(([event]) => event);
      assert.deepEqual(
        names.filter(event => event !== 'message'),
        ['spawn', 'disconnect', 'exit', 'close'],
      );
    });
  }

  test('worker.process: the environment in the worker', () => {
    assert.deepEqual(worker['the other end: variables'], fork['the other end: variables']);
  });

  test('worker.process: a worker has no socket besides its channel and its intake', () => {
    const [sockets] = fork['the other end: sockets besides the streams'];
    assert.deepEqual(worker['the other end: sockets besides the streams'], [
      sockets + differences.ownSockets,
    ]);
  });
});
