'use strict';

const { availableParallelism } = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');

const proc = require('../../__test__/support/proc');

const LOOK = 500;

/** How many CPUs other programs use, while the harness has nothing to do. */
async function othersUse() {
  const before = proc.idle();
  const begin = performance.now();
  await sleep(LOOK);
  const idle = (proc.idle() - before) / 1000 / (performance.now() - begin);
  return Math.max(0, availableParallelism() - idle);
}

module.exports = othersUse;
