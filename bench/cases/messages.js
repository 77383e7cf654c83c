'use strict';

const { withProgram } = require('../measure/program');

/** Before a measurement, for V8's compilers. */
const WARM_UP = 150;

/** @type {{ serialization: string, size: number, label: string, turn?: number }[]} */
const streams = [
  { serialization: 'json', size: 64, label: '64 B' },
  { serialization: 'json', size: 64, label: '64 B, one a turn', turn: 1 },
  { serialization: 'json', size: 10_000, label: '10 kB' },
  { serialization: 'json', size: 1_000_000, label: '1 MB' },
  { serialization: 'advanced', size: 64, label: '64 B' },
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
      for (const stream of streams.filter(stream => stream.serialization === serialization)) {
        const { label, size, turn } = stream;
        for (const direction of Object.keys(directions)) {
          await program.ask(direction, { size, turn, milliseconds: WARM_UP });
          const { count, milliseconds } = await program.ask(direction, {
            size,
            turn,
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
  name: 'messages',
  title: 'Messages between the primary and one worker',
  verified: 'number and content of every message, and their order',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.4,
  figures,
  sample,
};
