'use strict';

// Streams of messages between the primary and one worker, each in both directions: their figures, and how they are measured.

const { withProgram } = require('./program');

/** @typedef {{ serialization: string, label: string }} Stream and what the program `messages` is told of it besides */

const directions = { toPrimary: 'worker → primary', toWorker: 'primary → worker' };

/** @param {Stream[]} streams */
function figuresOf(streams) {
  const figures = {};
  for (const { serialization, label } of streams) {
    for (const [direction, arrow] of Object.entries(directions)) {
      const title = `messages/s, ${serialization}, ${label}, ${arrow}`;
      figures[`${serialization}, ${label}, ${direction}`] = { title, unit: '/s', better: 'higher' };
    }
  }
  return figures;
}

/**
 * One serialization is a setting of the cluster: a program each.
 * @param {Stream[]} streams
 * @param {number} warmUp milliseconds before a measurement, for V8's compilers
 */
function sampleOf(streams, warmUp) {
  return async (rival, { seconds }) => {
    const rates = {};
    for (const serialization of ['json', 'advanced']) {
      await withProgram('messages', rival, async program => {
        await program.start({ workers: 1, serialization });
        for (const { label, ...stream } of streams.filter(stream => stream.serialization === serialization)) {
          for (const direction of Object.keys(directions)) {
            await program.ask(direction, { ...stream, milliseconds: warmUp });
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
  };
}

module.exports = { figuresOf, sampleOf };
