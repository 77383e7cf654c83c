'use strict';

// What the system refuses for a while is not lost.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own gives an error";

test('with too many descriptors on their way messages wait, both ways, and are told of', {
  skip,
}, async () => {
  const LIMIT = 96;
  const stderr = /ERR_RUST_CLUSTER_UNSENT|--trace-warnings/;
  const options = { descriptors: LIMIT, env: { LIMIT }, exits: ['SIGKILL'], stderr };
  await run('engine/programs/too-many-sent.js', options, async program => {
    await program.lines(/^primary: ERR_RUST_CLUSTER_UNSENT$/);
    await program.lines(/^worker: ERR_RUST_CLUSTER_UNSENT$/);
    assert.ok(!program.stdout.some(line => line.includes('got')), 'none of it was sent yet');
    process.kill(program.pid, 'SIGUSR2');
    await program.lines(/^primary got a b\+ c d\+ e$/);
    await program.lines(/^worker got a b\+ c d\+ e$/);
  });
});

test('a process that can start no thread sends all the same', async () => {
  await run('engine/programs/no-thread.js', { exits: ['SIGKILL', 'SIGKILL'] }, async program => {
    await program.lines(/^all of worker [12], 0 threads$/, 2);
  });
});
