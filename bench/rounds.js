'use strict';

// Alternating rounds: in each, every rival is measured once, so that what changes on the machine in the meantime
// meets all of them.

/**
 * @typedef {object} Outcome
 * @property {Record<string, Record<string, number>>[]} rounds figures by rival, round by round
 * @property {string[]} failures samples that were not what they have to be
 * @property {string[]} limits samples in which the load generator was what was measured
 */

/**
 * @param {import('./cases').Case} benchmark
 * @param {{ rivals: import('./rivals').Rival[], rounds: number, seconds: number }} settings
 * @param {(step: { round: number, rival: string }) => void} progress
 * @returns {Promise<Outcome>}
 */
async function alternate(benchmark, { rivals, rounds, seconds }, progress) {
  const outcome = { rounds: [], failures: [], limits: [] };
  for (let round = 0; round < rounds; round++) {
    const figures = {};
    for (let i = 0; i < rivals.length; i++) {
      // Nobody always comes first.
      const rival = rivals[(i + round) % rivals.length];
      progress({ round, rival: rival.name });
      const where = `${benchmark.name}, round ${round + 1}, ${rival.name}`;
      try {
        const sample = await benchmark.sample(rival, { seconds });
        if (sample.limit) outcome.limits.push(`${where}: ${sample.limit}`);
        else figures[rival.name] = sample.figures;
      } catch (error) {
        outcome.failures.push(`${where}: ${error.stack}`);
      }
    }
    outcome.rounds.push(figures);
  }
  return outcome;
}

module.exports = alternate;
