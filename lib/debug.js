'use strict';

// NODE_DEBUG=cluster tells what happens to the workers, a line each, in the words Node once had:
// "23521,Master Worker 23524 online". NODE_DEBUG='cluster*' tells the quiet steps between as well, which are
// not in the output that Node's documentation once showed.

const { debuglog } = require('node:util');

/** @returns {(text: string) => void} */
function teller(section) {
  const { enabled } = debuglog(section);
  return text => {
    if (enabled) process.stderr.write(`${process.pid},Master ${text}\n`);
  };
}

module.exports = Object.assign(teller('cluster'), { quiet: teller('cluster-steps') });
