'use strict';

const path = require('node:path');

const CHECK = path.join(__dirname, 'wrk.lua');

/** https://github.com/wg/wrk */
module.exports = {
  name: 'wrk',
  version: { args: ['-v'], pattern: /wrk \S*?([\d.]+\S*)/ },
  /** It counts whole seconds. */
  shortest: 1,
  command({ url, clients, seconds, keepAlive, body, threads }) {
    const close = keepAlive ? [] : ['-H', 'Connection: close'];
    const numbers = ['-t', threads, '-c', clients, '-d', `${Math.max(1, Math.round(seconds))}s`];
    return ['wrk', ...numbers, '--timeout', '10s', ...close, '-s', CHECK, url, '--', body].map(String);
  },
  parse(output) {
    return JSON.parse(output.slice(output.lastIndexOf('{"requests"')));
  },
};
