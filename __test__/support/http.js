'use strict';

const http = require('node:http');

/**
 * Starts a request on a connection of its own.
 *
 * @param {number} port
 * @param {http.RequestOptions} [options]
 * @returns {{request: http.ClientRequest, response: Promise<{status: number, body: string}>}}
 */
function send(port, options) {
  const request = http.request({ host: '127.0.0.1', port, agent: false, ...options });
  const response = new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', incoming => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', chunk => {
        body += chunk;
      });
      incoming.once('error', reject);
      incoming.once('end', () => resolve({ status: incoming.statusCode, body }));
    });
  });
  return { request, response };
}

/**
 * One GET request on a connection of its own.
 *
 * @param {number} port
 * @param {string} [path]
 * @returns {Promise<{status: number, body: string}>}
 */
function get(port, path = '/') {
  const { request, response } = send(port, { path });
  request.end();
  return response;
}

/**
 * Many GET requests, each on a connection of its own, with a fixed number under way.
 *
 * @param {number} port
 * @param {number} total
 * @param {number} concurrency
 * @returns {Promise<{status: number, body: string}[]>}
 */
async function getMany(port, total, concurrency) {
  const responses = [];
  let started = 0;
  const client = async () => {
    while (started < total) {
      started++;
      responses.push(await get(port));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return responses;
}

/**
 * Asks, one request after the other, until so many have answered. On a machine that is busy one may have several turns
 * before another has its own.
 *
 * @template T
 * @param {number} count
 * @param {() => Promise<T>} ask
 * @param {(answer: T) => unknown} [who] tells who has given an answer
 * @returns {Promise<T[]>} all answers
 */
async function askUntilAll(count, ask, who = answer => answer) {
  const answers = [];
  for (const seen = new Set(); seen.size < count; seen.add(who(answers.at(-1)))) answers.push(await ask());
  return answers;
}

/** The bodies of so many that answer, in order. */
async function bodiesOf(count, port) {
  return [...new Set(await askUntilAll(count, async () => (await get(port)).body))].sort();
}

module.exports = { send, get, getMany, askUntilAll, bodiesOf };
