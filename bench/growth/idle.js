'use strict';

const { freemem } = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');

const proc = require('../../__test__/support/proc');
const { withProgram } = require('../measure/program');

/** What a worker may need, in bytes: so many are started as there is memory for. */
const WORKER = 40 * 2 ** 20;

const once = () => 1;
const each = workers => workers;

module.exports = {
  name: 'growth-idle',
  title: 'A primary with more and more workers, of which one talks',
  axis: { title: 'workers', values: [1, 4, 16, 64, 256].filter(workers => workers * WORKER < freemem()) },
  verified: 'every echo, in order',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.5,
  figures: {
    roundTrip: { title: 'round trip with one of them', unit: 'µs', better: 'lower', work: once },
    start: { title: 'start of all', unit: 'ms', better: 'lower', work: each },
    memory: { title: 'memory of the primary that nobody shares', unit: 'MB', better: 'lower', work: each },
    idleCpu: {
      title: 'CPU of the primary in a second without work',
      unit: 'µs',
      better: 'lower',
      work: once,
      // A thousandth of a CPU.
      floor: 1000,
    },
  },
  sample: (rival, { seconds, x }) =>
    withProgram('messages', rival, async program => {
      const { milliseconds } = await program.start({ workers: x });
      await program.ask('roundTrips', { milliseconds: 200 });
      const { median } = await program.ask('roundTrips', { milliseconds: seconds * 1000 });
      await sleep(500);
      const before = proc.cpu(program.pid);
      await sleep(1000);
      return {
        figures: {
          roundTrip: median * 1000,
          start: milliseconds,
          memory: proc.memory(program.pid).own / 2 ** 20,
          idleCpu: proc.cpu(program.pid) - before,
        },
      };
    }),
};
