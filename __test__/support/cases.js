'use strict';

// Programs of several small cases each: a file calls `cases({ name: { primary, worker } })`, and a test runs one
// of them (./run-case). What a program says with `say(name, value)` the test reads as a fact.

const { inspect } = require('node:util');

/**
 * Runs the case that the test asked for, on this process's side of it.
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
 * Tells the test something. JSON's own values stay as they are, others are shown as text.
 *
 * @param {string} name
 * @param {unknown} value
 */
function say(name, value) {
  process.stdout.write(`${JSON.stringify([name, value === undefined ? 'undefined' : value], shown)}\n`);
}

function shown(_key, value) {
  if (['undefined', 'function', 'bigint', 'symbol'].includes(typeof value))
    return inspect(value, { depth: 0 });
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value}`;
  return value;
}

/**
 * Counts down, then calls.
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

module.exports = { cases, say, after };
