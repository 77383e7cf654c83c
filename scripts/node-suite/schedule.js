'use strict';

/**
 * Runs the tests of parallel/ `jobs` at a time, then those of sequential/ alone.
 *
 * @template {{ sequential: boolean }} T
 * @param {T[]} tests
 * @param {number} jobs
 * @param {(test: T, slot: number) => Promise<void>} run
 */
async function schedule(tests, jobs, run) {
  const queue = tests.filter(test => !test.sequential);
  const work = async slot => {
    for (let test = queue.shift(); test; test = queue.shift()) await run(test, slot);
  };
  await Promise.all(Array.from({ length: jobs }, (_, slot) => work(slot)));
  for (const test of tests.filter(test => test.sequential)) await run(test, 0);
}

module.exports = { schedule };
