'use strict';

// How many workers, and why so many.

const errors = require('../errors');
const { load } = require('../native');

const BOUNDS = {
  machine: 'as many as there are processors',
  affinity: 'as many as its affinity allows',
  quota: 'as many as its quota of processor time allows',
};

/**
 * @param {number | 'auto'} [workers]
 * @returns {{ count: number, why: string }}
 */
function howMany(workers = 'auto', environment = process.env) {
  if (workers !== 'auto') return { count: workers, why: 'as configured' };
  const said = environment.WEB_CONCURRENCY?.trim();
  if (said) {
    if (!/^[1-9]\d{0,5}$/.test(said))
      throw errors.badOption('WEB_CONCURRENCY', 'a number of at least 1', said);
    return { count: Number(said), why: `WEB_CONCURRENCY is ${said}` };
  }
  const { count, bound } = load().processors();
  return { count, why: BOUNDS[bound] };
}

module.exports = { howMany };
