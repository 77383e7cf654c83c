'use strict';

// The test's side of ./cases.

const assert = require('node:assert/strict');
const { run } = require('./program');

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

module.exports = { facts, runCase };
