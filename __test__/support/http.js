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

module.exports = { send, get, getMany };
