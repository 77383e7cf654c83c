'use strict';

// Raw results: a file a run.

const { mkdirSync, readFileSync, readdirSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const FOLDER = path.join(__dirname, '..', 'results');

/**
 * @typedef {object} Run
 * @property {string} date
 * @property {string} node
 * @property {string} [commit]
 * @property {boolean} draft not measured as a report wants it
 * @property {{ cpu: string, cpus: number, memory: string, arch: string, kernel: string }} machine
 * @property {{ name: string, version: string }} load
 * @property {Record<string, Result>} cases
 */

/**
 * @typedef {import('../rounds').Outcome & { seconds?: number, others: number }} Result `others`: how many CPUs
 *   other programs used before; a growth case has `points` in the place of `rounds`
 */

/**
 * @param {Run} run
 * @param {string} name what was run
 * @returns {string} the file
 */
function save(run, name) {
  mkdirSync(FOLDER, { recursive: true });
  const stamp = run.date.replace(/\.\d+Z$/, '').replaceAll(/[-:]/g, '');
  const file = path.join(FOLDER, `${run.draft ? 'draft-' : ''}${stamp}-node${major(run)}-${name}.json`);
  writeFileSync(file, `${JSON.stringify(run, undefined, 1)}\n`);
  return file;
}

/**
 * The newest results of each case that are no drafts, by major version of Node.
 * @returns {Map<number, Record<string, Result & { run: Run }>>}
 */
function newest() {
  const byNode = new Map();
  const files = readdirSync(FOLDER).filter(name => name.endsWith('.json') && !name.startsWith('draft-'));
  for (const file of files.sort()) {
    const run = JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8'));
    const cases = byNode.get(major(run)) ?? {};
    for (const [name, outcome] of Object.entries(run.cases)) cases[name] = { ...outcome, run };
    byNode.set(major(run), cases);
  }
  return new Map([...byNode].sort(([a], [b]) => a - b));
}

const major = run => Number(run.node.split('.')[0]);

module.exports = { save, newest };
