'use strict';

// Asks the thread that answers what there is.

const http = require('node:http');
const errors = require('../errors');
const { textOf } = require('./setting');

/** It answers in milliseconds, or not at all. */
const PATIENCE = 5000;
/** More than a thousand slots say. */
const MOST = 2 ** 24;

/**
 * Where it answers.
 * @typedef {{ host: string, port: number } | { path: string }} Place
 */

/**
 * @param {Place & { pid?: number }} place whoever else answers there, of this pid it is not
 * @returns {Promise<any>} what /status says
 */
function readStatus(place) {
  const target = 'path' in place ? { socketPath: place.path } : place;
  return new Promise((resolve, reject) => {
    const request = http.get({ ...target, path: '/status', agent: false, timeout: PATIENCE });
    const fail = why => {
      reject(Object.assign(errors.noStatus(textOf(place), why), { why }));
      request.destroy();
    };
    request.on('timeout', () => fail(`no answer within ${PATIENCE / 1000} s`));
    request.on('error', ({ code, message }) => fail(code ?? message));
    request.on('response', response => {
      let text = '';
      response.setEncoding('utf8').on('data', more => {
        text += more;
        if (text.length > MOST) fail('its answer is too long');
      });
      response.on('error', ({ code, message }) => fail(code ?? message));
      response.on('end', () => {
        if (response.statusCode !== 200) return fail(`it answers ${response.statusCode}`);
        const status = parse(text);
        if (!status) fail('what answers is no rust-cluster');
        else if (place.pid !== undefined && status.pid !== place.pid)
          fail(`process ${status.pid} answers there, and not ${place.pid}`);
        else resolve(status);
      });
    });
  });
}

/** @returns {any} undefined: it is no status */
function parse(text) {
  try {
    const status = JSON.parse(text);
    const { time, slots, acceptor } = status;
    return typeof time === 'number' && Array.isArray(slots) && acceptor ? status : undefined;
  } catch {
    return undefined;
  }
}

/** Whoever listens on all addresses is to be had on this machine's own. */
const ANY = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * Where somebody is reached who listens there.
 * @param {{ path?: string, host?: string, port?: number }} setting
 * @returns {Place}
 */
const reachable = ({ path, host, port }) =>
  path === undefined ? { host: ANY[host] ?? host, port } : { path };

module.exports = { readStatus, reachable };
