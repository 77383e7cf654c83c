'use strict';

const { withProgram } = require('../measure/program');

/** Before a measurement, for V8's compilers. */
const WARM_UP = 100;

/** @type {{ serialization: string, shape: string, size: number, label: string }[]} */
const streams = [
  { serialization: 'json', shape: 'string', size: 1000, label: 'one string, 1 kB' },
  { serialization: 'json', shape: 'string', size: 100_000, label: 'one string, 100 kB' },
  { serialization: 'json', shape: 'fields', size: 1000, label: 'small fields, 1 kB' },
  { serialization: 'json', shape: 'fields', size: 100_000, label: 'small fields, 100 kB' },
  { serialization: 'json', shape: 'numbers', size: 10_000, label: 'array of numbers, 10 kB' },
  { serialization: 'json', shape: 'records', size: 10_000, label: 'array of objects, 10 kB' },
  { serialization: 'advanced', shape: 'buffer', size: 1000, label: 'Buffer, 1 kB' },
  { serialization: 'advanced', shape: 'buffer', size: 100_000, label: 'Buffer, 100 kB' },
];

const directions = { toPrimary: 'worker → primary', toWorker: 'primary → worker' };

const figures = {};
for (const { serialization, label } of streams) {
  for (const [direction, arrow] of Object.entries(directions)) {
    const title = `messages/s, ${serialization}, ${label}, ${arrow}`;
    figures[`${serialization}, ${label}, ${direction}`] = { title, unit: '/s', better: 'higher' };
  }
}

/** One serialization is a setting of the cluster: a program each. */
async function sample(rival, { seconds }) {
  const rates = {};
  for (const serialization of ['json', 'advanced']) {
    await withProgram('messages', rival, async program => {
      await program.start({ workers: 1, serialization });
      for (const { label, ...stream } of streams.filter(stream => stream.serialization === serialization)) {
        for (const direction of Object.keys(directions)) {
          await program.ask(direction, { ...stream, milliseconds: WARM_UP });
          const { count, milliseconds } = await program.ask(direction, {
            ...stream,
            milliseconds: seconds * 1000,
          });
          rates[`${serialization}, ${label}, ${direction}`] = (count / milliseconds) * 1000;
        }
      }
    });
  }
  return { figures: rates };
}

module.exports = {
  name: 'shapes',
  title: 'Messages of several shapes between the primary and one worker',
  verified:
    'number and order of every message; the content of every string and Buffer, and of one in fifty of the others',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.2,
  figures,
  sample,
};
