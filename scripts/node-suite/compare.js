'use strict';

const { isDeepStrictEqual } = require('node:util');

/**
 * @typedef {object} Comparison
 * @property {string} name
 * @property {import('./run.js').Result} control
 * @property {import('./run.js').Result} [subject]
 * @property {'equal' | 'differ' | 'varies' | '-'} exits 'varies': Node's own cluster, run again, did the same
 * @property {string[][]} controlExits all that were seen under Node's own cluster
 * @property {boolean} worse
 */

/**
 * Runs a test under both, one after the other, so that it never meets itself.
 *
 * @param {(way: 'control' | 'subject') => Promise<import('./run.js').Result>} run
 * @param {{ name: string, controlOnly: boolean, learn: number }} options
 * @returns {Promise<Comparison>}
 */
async function compare(run, { name, controlOnly, learn }) {
  const control = await run('control');
  const controlExits = [control.exits];
  if (controlOnly) return { name, control, controlExits, exits: '-', worse: false };
  const subject = await run('subject');
  // A test that fails is killed half-way: its exits say nothing.
  const comparable = control.status === 'pass' && subject.status === 'pass';
  const exits = comparable ? await compareExits(run, subject.exits, controlExits, learn) : '-';
  return {
    name,
    control,
    subject,
    exits,
    controlExits,
    worse: isWorse(control, subject) || exits === 'differ',
  };
}

async function compareExits(run, exits, controlExits, learn) {
  const known = () => controlExits.some(seen => isDeepStrictEqual(seen, exits));
  if (known()) return 'equal';
  for (let n = 0; n < learn && !known(); n++) {
    const again = await run('control');
    if (again.status === 'pass') controlExits.push(again.exits);
  }
  return known() ? 'varies' : 'differ';
}

function isWorse(control, subject) {
  const order = ['fail', 'skip', 'pass'];
  return order.indexOf(subject.status) < order.indexOf(control.status);
}

module.exports = { compare };
