'use strict';

const { withProgram } = require('../measure/program');

module.exports = {
  name: 'round-trip',
  title: 'Round trip of one small message, nothing else going on',
  verified: 'every echo, in order',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.5,
  figures: {
    median: { title: 'round trip, median', unit: 'µs', better: 'lower' },
    p99: { title: 'round trip, p99', unit: 'µs', better: 'lower' },
  },
  sample: (rival, { seconds }) =>
    withProgram('messages', rival, async program => {
      await program.start({ workers: 1 });
      await program.ask('roundTrips', { milliseconds: 200 });
      const { median, p99 } = await program.ask('roundTrips', { milliseconds: seconds * 1000 });
      return { figures: { median: median * 1000, p99: p99 * 1000 } };
    }),
};
