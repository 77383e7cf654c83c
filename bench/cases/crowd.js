'use strict';

const { withProgram } = require('../measure/program');
const proc = require('../../__test__/support/proc');

const WORKERS = 4;

/** Before a measurement, for V8's compilers. */
const WARM_UP = 150;

const sizes = { 64: '64 B', 10000: '10 kB' };

const figures = {};
for (const [size, label] of Object.entries(sizes)) {
  figures[`rate ${size}`] = { title: `messages/s, ${label}, all together`, unit: '/s', better: 'higher' };
  figures[`cpu ${size}`] = {
    title: `CPU per message of ${label}, all processes`,
    unit: 'µs',
    better: 'lower',
  };
}

module.exports = {
  name: 'crowd',
  title: `${WORKERS} workers that send to the primary at once`,
  verified: 'number, content and order of every message',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.4,
  figures,
  sample: (rival, { seconds }) =>
    withProgram('messages', rival, async program => {
      const { pids } = await program.start({ workers: WORKERS });
      const cpu = () => [program.pid, ...pids].reduce((sum, pid) => sum + proc.cpu(pid), 0);
      const measured = {};
      for (const size of Object.keys(sizes).map(Number)) {
        await program.ask('allToPrimary', { size, milliseconds: WARM_UP });
        const before = cpu();
        const { count, milliseconds } = await program.ask('allToPrimary', {
          size,
          milliseconds: seconds * 1000,
        });
        measured[`rate ${size}`] = (count / milliseconds) * 1000;
        measured[`cpu ${size}`] = (cpu() - before) / count;
      }
      return { figures: measured };
    }),
};
