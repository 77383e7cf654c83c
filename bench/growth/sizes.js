'use strict';

const { withProgram } = require('../measure/program');

const time = title => ({ title, unit: 'µs', better: 'lower', work: bytes => bytes });

module.exports = {
  name: 'growth-sizes',
  title: 'Messages that get larger and larger, json',
  axis: { title: 'bytes', values: [16, 256, 4096, 65_536, 1_048_576, 16_777_216] },
  verified: 'number and content of every message, and their order',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.5,
  figures: {
    toPrimary: time('time per message, worker → primary'),
    toWorker: time('time per message, primary → worker'),
  },
  sample: (rival, { seconds, x }) =>
    withProgram('messages', rival, async program => {
      await program.start({ workers: 1 });
      const figures = {};
      for (const direction of ['toPrimary', 'toWorker']) {
        await program.ask(direction, { size: x, milliseconds: 100 });
        const flow = await program.ask(direction, { size: x, milliseconds: seconds * 1000 });
        figures[direction] = (flow.milliseconds / flow.count) * 1000;
      }
      return { figures };
    }),
};
