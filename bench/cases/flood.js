'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { withProgram } = require('../measure/program');
const proc = require('../../__test__/support/proc');

/** A program that does not look at what send() returns. */
const STREAM = { size: 10_000, count: 20_000, turn: 500, flood: true };

/** For what is freed a little later. */
const SETTLE = 300;

const MB = 2 ** 20;

const directions = { toPrimary: 'worker → primary', toWorker: 'primary → worker' };

const figures = {};
for (const [direction, arrow] of Object.entries(directions)) {
  figures[`rate ${direction}`] = { title: `messages/s, ${arrow}`, unit: '/s', better: 'higher' };
  figures[`most ${direction}`] = {
    title: `the sender’s most resident memory, ${arrow}`,
    unit: 'MB',
    better: 'lower',
  };
  figures[`after ${direction}`] = {
    title: `its own memory afterwards, ${arrow}`,
    unit: 'MB',
    better: 'lower',
  };
}

/** What the sender keeps is to be seen: a program for each direction. */
async function sample(rival) {
  const measured = {};
  for (const direction of Object.keys(directions)) {
    await withProgram('messages', rival, async program => {
      const { pids } = await program.start({ workers: 1 });
      const sender = direction === 'toPrimary' ? pids[0] : program.pid;
      const { count, milliseconds } = await program.ask(direction, STREAM);
      await sleep(SETTLE);
      measured[`rate ${direction}`] = (count / milliseconds) * 1000;
      measured[`most ${direction}`] = proc.mostResident(sender) / MB;
      measured[`after ${direction}`] = proc.memory(sender).own / MB;
    });
  }
  return { figures: measured };
}

module.exports = {
  name: 'flood',
  title: `${STREAM.count} messages of 10 kB, ${STREAM.turn} a turn, of a program that ignores back-pressure`,
  verified: 'number, content and order of every message',
  rivals: ['node-rr', 'rust-rr'],
  figures,
  sample,
};
