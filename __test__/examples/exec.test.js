'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { run } = require('../support/program');
const { successorsPort, whoAnswers, COUNT, EXAMPLES, IDS } = require('./example');

const PROGRAMS = {
  'a program with a cluster of its own': path.join(EXAMPLES, 'express.js'),
  'a program that knows nothing of clusters': path.join(__dirname, 'programs', 'plain.js'),
};

/** Runs exec.js with a program for its workers. */
function exec(file, options, body) {
  const nodeArgs = [path.join(EXAMPLES, 'exec.js')];
  return run(file, { nodeArgs, env: { PORT: 0 }, ...options }, async program => {
    const workers = await program.events('listening', COUNT);
    await body(program, workers[0].address.port, workers);
  });
}

for (const [name, file] of Object.entries(PROGRAMS)) {
  test(`exec.js: every worker runs ${name}`, () =>
    exec(file, { exits: new Array(COUNT).fill(0) }, async (program, port) => {
      assert.equal((await whoAnswers(port, / (\d+)\n$/)).length, COUNT);
      process.kill(program.pid, 'SIGTERM');
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    }));
}

test('exec.js: express answers from every worker', () =>
  exec(path.join(EXAMPLES, 'express.js'), {}, async (_program, port) => {
    assert.deepEqual(await whoAnswers(port), IDS);
  }));

test('exec.js: a worker that dies is replaced', () =>
  exec(path.join(EXAMPLES, 'express.js'), { exits: ['SIGTERM'] }, async (program, _port, [{ pid }]) => {
    process.kill(pid, 'SIGTERM');
    await program.lines(new RegExp(`^worker \\d+ \\(pid ${pid}\\) has ended \\(SIGTERM\\)$`));
    const port = await successorsPort(program);
    assert.ok((await whoAnswers(port)).includes(COUNT + 1));
  }));
