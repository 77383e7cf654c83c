'use strict';

// Runs the attacks and says what came of them.

const fs = require('node:fs');
const path = require('node:path');
const load = require('./load');
const program = require('./program');
const { random } = require('./random');
const { now } = require('./time');

const FOLDER = path.join(__dirname, 'guarantees');

/**
 * @typedef {object} Result
 * @property {number} tried
 * @property {number} lost
 * @property {string} unit what was counted
 * @property {string[]} [notes] figures
 * @property {string[]} [broken] what was promised and did not hold, besides the count
 * @property {string} [failed] why the attack itself did not come to its end
 */

/** The guarantees whose file has `only` in its name, in their order. */
function guarantees(only = '') {
  return fs
    .readdirSync(FOLDER)
    .filter(file => file.endsWith('.js') && file.includes(only))
    .sort()
    .map(file => ({ name: path.basename(file, '.js'), ...require(path.join(FOLDER, file)) }));
}

/**
 * Runs one attack; it never throws.
 *
 * @param {object} guarantee
 * @param {object} options
 * @param {'rust' | 'node'} options.way
 * @param {number} options.seed
 * @param {boolean} options.short
 * @param {(text: string) => void} options.progress
 * @returns {Promise<Result & {seconds: number}>}
 */
async function attack(guarantee, { way, seed, short, progress = () => {} }) {
  const start = now();
  // Node's own loses what it loses by time-outs.
  const limit = guarantee.limit[short ? 'short' : 'long'] * (way === 'node' ? 3 : 1);
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limit / 1000} s`)), limit);
  });
  let result;
  try {
    // Each guarantee has its own sequence, so that --only repeats what the whole run did.
    const own = random(seed + Number.parseInt(guarantee.name, 10));
    result = await Promise.race([guarantee.run({ way, random: own, short, progress }), timeout]);
  } catch (error) {
    result = { tried: 0, lost: 0, unit: '', failed: error.message };
  } finally {
    clearTimeout(timer);
    load.stopAll();
    await program.stopAll();
  }
  return { ...result, seconds: Math.round((now() - start) / 100) / 10 };
}

/** Whether a result shows a guarantee broken. */
const isBroken = ({ lost, broken = [], failed }) => lost > 0 || broken.length > 0 || failed !== undefined;

/** @param {Result} [result] */
function cell(result) {
  if (!result) return '–';
  if (result.failed) return 'failed';
  const more = result.broken?.length ? `, ${result.broken.length} broken` : '';
  return `${result.lost} of ${result.tried}${more}`;
}

/**
 * @param {{guarantee: object, rust?: Result, node?: Result}[]} rows
 * @returns {string}
 */
function table(rows) {
  const lines = rows.map(({ guarantee, rust, node }) => [
    `${Number.parseInt(guarantee.name, 10)}. ${guarantee.title}`,
    rust ? `${rust.tried} ${rust.unit}` : '–',
    rust ? cell(rust).replace(/ of \d+/, '') : '–',
    cell(node),
  ]);
  const all = [['guarantee', 'tried', 'lost', "Node's own"], ...lines];
  const widths = all[0].map((_, column) => Math.max(...all.map(line => line[column].length)));
  const format = line => `| ${line.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`;
  return [format(all[0]), rule, ...all.slice(1).map(format)].join('\n');
}

/** What a result says besides its counts. */
function details({ notes = [], broken = [], failed }) {
  return [
    ...notes.map(note => `  ${note}`),
    ...broken.map(text => `  BROKEN: ${text}`),
    ...(failed ? [`  FAILED: ${failed}`] : []),
  ].join('\n');
}

module.exports = { guarantees, attack, isBroken, table, details };
