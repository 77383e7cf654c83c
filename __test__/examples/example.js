'use strict';

const { availableParallelism } = require('node:os');
const path = require('node:path');
const { askUntilAll, get } = require('../support/http');
const { run } = require('../support/program');

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');

/** How many workers the examples start. */
const COUNT = availableParallelism();

/** The ids of the workers that an example starts. */
const IDS = Array.from({ length: COUNT }, (_, place) => place + 1);

/**
 * Runs an example, on a port that is free, once all its workers listen.
 *
 * @param {string} name of its file
 * @param {object} options of `run`
 * @param {(program: object, port: number, workers: { id: number, pid: number }[]) => Promise<void>} body
 */
async function example(name, options, body) {
  const env = { PORT: 0, ...options.env };
  await run(path.join(EXAMPLES, name), { ...options, env }, async program => {
    const workers = await program.events('listening', COUNT);
    await body(program, workers[0].address.port, workers);
  });
}

/**
 * Requests, on a connection of their own each, until as many workers have answered as there are.
 *
 * @param {number} port
 * @param {RegExp} pattern what to take of each answer
 * @returns {Promise<number[]>} in order
 */
async function whoAnswers(port, pattern = /^Hello from worker (\d+)\n$/) {
  const ids = await askUntilAll(COUNT, async () => Number((await get(port)).body.match(pattern)?.[1]));
  return [...new Set(ids)].sort((a, b) => a - b);
}

/** The port of a worker that has taken another's place: any port is a new one where that was the only worker. */
async function successorsPort(program) {
  const workers = await program.events('listening', COUNT + 1);
  return workers.at(-1).address.port;
}

module.exports = { example, successorsPort, whoAnswers, COUNT, EXAMPLES, IDS };
