'use strict';

// Programs of several small cases each: a file calls `cases({ name: { primary, worker } })`, and a test runs one
// of them with `runCase(file, name, …)`. What a program says with `say(name, value)` the test reads as a fact.

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { run } = require('./program');

/**
 * In a program: runs the case that the test asked for, on this process's side of it.
 *
 * @param {Record<string, {primary(cluster: object): void, worker?(cluster: object): void}>} all
 */
function cases(all) {
  const name = process.env.CASE;
  if (!Object.hasOwn(all, name)) throw new Error(`no case ${name}`);
  const cluster = require('rust-cluster');
  if (cluster.isPrimary) all[name].primary(cluster);
  else all[name].worker(cluster);
}

/**
 * In a program: tells the test something. JSON's own values stay as they are, others are shown as text.
 *
 * @param {string} name
 * @param {unknown} value
 */
function say(name, value) {
  process.stdout.write(`${JSON.stringify([name, value === undefined ? 'undefined' : value], shown)}\n`);
}

function shown(_key, value) {
  if (['undefined', 'function', 'bigint', 'symbol'].includes(typeof value)) return inspect(value, { depth: 0 });
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value}`;
  return value;
}

/**
 * What a program has said, by name, in the order of its saying.
 *
 * @param {{stdout: string[]}} program
 * @returns {Record<string, any[]>}
 */
function facts({ stdout }) {
  const said = {};
  for (const line of stdout) {
    assert.match(line, /^\[".*\]$/, 'a line on stdout is a fact');
    const [name, value] = JSON.parse(line);
    said[name] ??= [];
    said[name].push(value);
  }
  return said;
}

/**
 * Runs one case until its end, which must be a good one.
 *
 * @param {string} file
 * @param {string} name
 * @param {object} [options] as `run` has them
 * @param {(program: object) => Promise<void>} [body] what happens meanwhile
 * @returns {Promise<Record<string, any[]>>} what it said
 */
async function runCase(file, name, { env, ...options } = {}, body = async () => {}) {
  let said;
  await run(file, { ...options, env: { ...env, CASE: name } }, async program => {
    await body(program);
    const { code, signal } = await program.end();
    said = facts(program);
    const story = [...program.stderr, ...program.stdout].join('\n');
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the end of the primary\n${story}`);
  });
  return said;
}

/**
 * In a program: counts down, then calls.
 *
 * @param {number} count
 * @param {() => void} done
 */
function after(count, done) {
  let left = count;
  return () => {
    if (--left === 0) done();
  };
}

module.exports = { cases, say, facts, runCase, after };
