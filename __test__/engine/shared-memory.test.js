'use strict';

// Long strings lie in memory that a worker and the primary share: they are whole and in order, whoever exits, is stopped
// or has none of it.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { test } = require('node:test');
const { setTimeout } = require('node:timers/promises');
const differences = require('../support/differences');
const { run } = require('../support/program');

const PROGRAM = 'engine/programs/shared-memory.js';

const lossy = !differences.deliversLargeQueues && "Node's own loses what the kernel does not take at once";

/** Bytes of that memory which a process has touched. */
function shared(pid) {
  const [, ...mappings] = readFileSync(`/proc/${pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const ours = mappings.filter(mapping => mapping.includes('memfd:rust-cluster-board'));
  return ours.reduce((sum, mapping) => sum + Number(mapping.match(/^Rss: +(\d+) kB/m)[1]) * 1024, 0);
}

test('two workers exit when they have sent long strings', { skip: lossy }, async () => {
  await run(PROGRAM, { env: { WHO: 'workers', COUNT: 60 }, exits: [0, 0] }, async program => {
    await program.lines(/^all for the primary from [12]$/, 2);
  });
});

test('a worker is stopped while more is sent to it than the memory holds, and another goes on', async () => {
  await run(PROGRAM, { env: { WHO: 'primary', COUNT: 400 } }, async program => {
    const [[, stopped]] = await program.lines(/^stopped (\d+)$/);
    await program.lines(/^all for worker 2$/);
    // What the stopped one has not taken stays.
    if (differences.sharesMemory) assert.ok(shared(program.pid) > 1_000_000, `${shared(program.pid)} bytes`);
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

const unshared = !differences.sharesMemory && "Node's own shares none";

test('shared memory that rests for a while goes back to the system', { skip: unshared }, async () => {
  await run(PROGRAM, { env: { WHO: 'primary', COUNT: 400 } }, async program => {
    const [[, stopped]] = await program.lines(/^stopped (\d+)$/);
    process.kill(Number(stopped), 'SIGCONT');
    await program.lines(/^all for worker [12]$/, 2);
    // The page that is the board stays, one for each worker.
    while (shared(program.pid) > 2 * 4096 || shared(Number(stopped)) > 4096) await setTimeout(200);
  });
});
