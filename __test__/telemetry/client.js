'use strict';

// Who reads telemetry.

const http = require('node:http');

/**
 * @param {object} where `{ port }` or `{ socketPath }`
 * @param {string} path
 * @param {http.RequestOptions} [options]
 * @returns {Promise<{ status: number, headers: object, body: string }>}
 */
function ask(where, path, options) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', agent: false, ...where, path, ...options },
      response => {
        let body = '';
        response.setEncoding('utf8').on('error', reject);
        response.on('data', text => {
          body += text;
        });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
      },
    );
    request.on('error', reject).end();
  });
}

/**
 * What `/events` says, until something is so.
 * @param {object} where as above
 * @param {string} what
 * @param {(status: object) => boolean} isSo
 * @returns {Promise<object>} the first status of which it is
 */
function until(where, what, isSo) {
  return new Promise((resolve, reject) => {
    let last;
    const request = http.get({ host: '127.0.0.1', agent: false, ...where, path: '/events' }, response => {
      let text = '';
      response.setEncoding('utf8').on('error', reject);
      response.on('end', () => reject(new Error(`not so: ${what}, ${JSON.stringify(last)}`)));
      response.on('data', part => {
        const events = (text + part).split('\n\n');
        text = events.pop();
        for (const event of events) {
          last = JSON.parse(event.slice('data: '.length));
          if (!isSo(last)) continue;
          request.destroy();
          resolve(last);
          return;
        }
      });
    });
    request.on('error', reject);
  });
}

/** Asks `/readyz` until it says 200: on a busy machine a worker may be stuck for a moment. */
async function untilReady(where) {
  for (;;) {
    const { status, body } = await ask(where, '/readyz');
    if (status === 200) return JSON.parse(body);
  }
}

const states = ({ slots }) => slots.map(({ state }) => state).join();

/**
 * The samples of a text, each by its name with its labels.
 * @returns {Map<string, number>}
 */
function samples(text) {
  const lines = text.split('\n').filter(line => line !== '' && line[0] !== '#');
  return new Map(
    lines.map(line => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1).replace('Inf', 'Infinity'))];
    }),
  );
}

module.exports = { ask, until, untilReady, states, samples };
