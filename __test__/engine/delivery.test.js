'use strict';

// What send() was given is delivered, in order, although the event loop of the sender does not turn again.

const { readFileSync } = require('node:fs');
const { test } = require('node:test');
const { setImmediate } = require('node:timers/promises');
const differences = require('../support/differences');
const { run } = require('../support/program');

const ENDS = {
  loop: { exits: ['SIGKILL'] },
  exit: { exits: [0] },
  throw: { exits: [1], stderr: /^/ },
  disconnect: { exits: [0] },
};

for (const serialization of ['json', 'advanced']) {
  for (const [end, expected] of Object.entries(ENDS)) {
    // 1 is written at once, 2 and 1,000 are joined.
    for (const count of [1, 2, 1000]) {
      const skip =
        count > 2 &&
        !differences.deliversLargeQueues &&
        "Node's own loses what the kernel does not take at once";
      test(`${count} messages, ${serialization}, then ${end}`, { skip }, async () => {
        const env = { COUNT: count, END: end, SERIALIZATION: serialization };
        await run('engine/programs/delivery.js', { env, ...expected }, async program => {
          await program.lines(/^all received$/);
          await program.events('exit');
        });
      });
    }
  }
}

const lossy = !differences.deliversLargeQueues && "Node's own loses what the kernel does not take at once";

test('two workers exit behind more than a channel holds', { skip: lossy }, async () => {
  await run('engine/programs/exits.js', { env: { WHO: 'workers' }, exits: [0, 0] }, async program => {
    await program.lines(/^all for the primary from [12]$/, 2);
  });
});

test('the primary exits behind more than the channels hold, one of a stopped worker', {
  skip: lossy,
}, async () => {
  await run('engine/programs/exits.js', { env: { WHO: 'primary' } }, async program => {
    await program.lines(/^all for worker [23]$/, 2);
  });
});

test('a worker exits although nobody reads what it has sent', { skip: lossy }, async () => {
  await run('engine/programs/exits.js', { env: { WHO: 'left' }, exits: [0] }, async program => {
    const [[, pid]] = await program.lines(/^worker (\d+)$/);
    process.kill(program.pid, 'SIGSTOP');
    process.kill(Number(pid), 'SIGUSR2');
    while (!isZombie(pid)) await setImmediate();
    process.kill(program.pid, 'SIGCONT');
    await program.events('exit');
  });
});

/** Whether a process has ended, and its parent has not seen it yet. */
function isZombie(pid) {
  return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

for (const serialization of ['json', 'advanced']) {
  test(`messages of all sizes, mixed, ${serialization}`, async () => {
    const env = { SERIALIZATION: serialization };
    await run('engine/programs/large-messages.js', { env, exits: [0] }, async program => {
      await program.lines(/^all came back$/);
      await program.events('exit');
    });
  });
}

for (const serialization of ['json', 'advanced']) {
  const skip =
    serialization === 'advanced' &&
    !differences.keepsNoMessage &&
    "Node's own keeps the last one for a while";
  test(`a delivered message is not kept, ${serialization}`, { skip }, async () => {
    const options = { env: { SERIALIZATION: serialization }, nodeArgs: ['--expose-gc'], exits: [0] };
    await run('engine/programs/delivered.js', options, async program => {
      await program.lines(/^let go$/);
      await program.events('exit');
    });
  });
}
