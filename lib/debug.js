'use strict';

// NODE_DEBUG=cluster tells what happens to the workers, a line each, in the words Node once had:
// "23521,Master Worker 23524 online".

const { debuglog } = require('node:util');

const { enabled } = debuglog('cluster');

/** @param {string} text */
function debug(text) {
  if (enabled) process.stderr.write(`${process.pid},Master ${text}\n`);
}

module.exports = debug;
