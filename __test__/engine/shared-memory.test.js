'use strict';

// Long strings lie in memory that a worker and the primary share: they are whole and in order, whoever exits, is stopped or
// killed, or has none of it.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setTimeout } = require('node:timers/promises');
const differences = require('../support/differences');
const { KERNELS } = require('../support/kernel');
const { run } = require('../support/program');
const { has, touched } = require('../support/shared-memory');

const PROGRAM = 'engine/programs/shared-memory.js';

/** The page that is the board. */
const PAGE = 4096;

const lossy = !differences.deliversLargeQueues && "Node's own loses what the kernel does not take at once";
const unshared =
  (!differences.sharesMemory && "Node's own shares none") ||
  (process.env.KERNEL && `${process.env.KERNEL} may have none`);

for (const serialization of ['json', 'advanced']) {
  test(`two workers exit when they have sent long strings, ${serialization}`, { skip: lossy }, async () => {
    const env = { WHO: 'workers', COUNT: 60, SERIALIZATION: serialization };
    await run(PROGRAM, { env, exits: [0, 0] }, async program => {
      await program.lines(/^all for the primary from [12]$/, 2);
    });
  });
}

for (const kernel of Object.keys(KERNELS)) {
  test(`long strings arrive under ${kernel}`, { skip: lossy }, async () => {
    await run(PROGRAM, { kernel, env: { WHO: 'workers', COUNT: 60 }, exits: [0, 0] }, async program => {
      await program.lines(/^all for the primary from [12]$/, 2);
    });
  });
}

test('a worker is stopped while more is sent to it than the memory holds, and another goes on', async () => {
  await run(PROGRAM, { env: { WHO: 'primary', COUNT: 400 } }, async program => {
    const [[, stopped]] = await program.lines(/^stopped (\d+)$/);
    await program.lines(/^all for worker 2$/);
    // What the stopped one has not taken stays.
    if (!unshared) assert.ok(touched(program.pid) > 1_000_000, `${touched(program.pid)} bytes`);
    process.kill(Number(stopped), 'SIGCONT');
    await program.lines(/^all for worker 1$/);
  });
});

const unbounded = !differences.sharesMemory && "Node's own has no such setting";

test('what lies in shared memory counts as queued', { skip: unbounded }, async () => {
  await run(PROGRAM, { env: { WHO: 'limit' } }, async program => {
    const [[, sent]] = await program.lines(/^ERR_RUST_CLUSTER_QUEUE_FULL after (\d+) messages$/);
    assert.ok(Number(sent) >= 100 && Number(sent) < 200, `${sent} of 10 kB, where 1 MB may wait`);
  });
});

test('shared memory that rests for a while goes back to the system', { skip: unshared }, async () => {
  await run(PROGRAM, { env: { WHO: 'primary', COUNT: 400 } }, async program => {
    const [[, stopped]] = await program.lines(/^stopped (\d+)$/);
    process.kill(Number(stopped), 'SIGCONT');
    await program.lines(/^all for worker [12]$/, 2);
    while (touched(program.pid) > 2 * PAGE || touched(Number(stopped)) > PAGE) await setTimeout(200);
  });
});

test('shared memory is used on, both ways, after many messages', { skip: unshared }, async () => {
  // Most of the ring: what was used by one message after the other is less.
  const most = 3_000_000;
  await run(PROGRAM, { env: { WHO: 'turns', COUNT: 400 } }, async program => {
    const [[, stopped]] = await program.lines(/^stopped (\d+)$/);
    assert.ok(touched(program.pid) > most, `${touched(program.pid)} bytes to the worker`);
    program.process.kill('SIGUSR2');
    const [[, sender]] = await program.lines(/^sent by (\d+)$/);
    assert.ok(touched(Number(sender)) > most, `${touched(Number(sender))} bytes to the primary`);
    program.process.kill('SIGCONT');
    await program.lines(/^all for the primary from 2$/);
    process.kill(Number(stopped), 'SIGCONT');
    await program.lines(/^all for worker 1$/);
  });
});

test('what a worker sent just before it was killed arrives, and its memory goes', {
  skip: unshared,
}, async () => {
  await run(PROGRAM, { env: { WHO: 'killed' }, exits: ['SIGKILL', 'SIGKILL'] }, async program => {
    await program.lines(/^both from [12]$/, 2);
    while (has(program.pid)) await setTimeout(20);
  });
});

test('what a primary sent just before it was killed arrives', { skip: unshared }, async () => {
  await run(PROGRAM, { env: { WHO: 'orphans' } }, async program => {
    await program.lines(/^both for [12]$/, 2);
  });
});

test('shared memory goes back when a worker leaves, though it lives on', { skip: unshared }, async () => {
  await run(PROGRAM, { env: { WHO: 'leaves', COUNT: 100 } }, async program => {
    await program.lines(/^all for the primary from [12]$/, 2);
    const left = await program.lines(/^left by (\d+)$/, 2);
    while (touched(program.pid) > 2 * PAGE) await setTimeout(20);
    for (const [, pid] of left) while (touched(Number(pid)) > PAGE) await setTimeout(20);
  });
});

test('what a worker starts while its memory is in use has none of it', async () => {
  await run(PROGRAM, { env: { WHO: 'forks', COUNT: 400 } }, async program => {
    await program.lines(/^nothing with \d+$/, 2);
    await program.lines(/^all for the primary$/);
  });
});

test('other threads come and go beside shared memory', async () => {
  await run(PROGRAM, { env: { WHO: 'threads', COUNT: 200 } }, async program => {
    await program.lines(/^all for (worker|the primary from) [12]$/, 4);
    await program.lines(/^another thread$/, 3);
  });
});
