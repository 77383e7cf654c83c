'use strict';

// What was started ends with us, however we end.

const { constants } = require('node:os');
const { signal } = require('./proc');

/** Processes; process groups, as negative numbers. */
const started = new Set();

/** @param {number} pid of a process, or minus that of a process group */
const track = pid => void started.add(pid);

/** @param {number} pid */
const forget = pid => void started.delete(pid);

process.on('exit', () => {
  for (const pid of started) signal(pid, 'SIGKILL');
});
// The listeners of 'exit' run.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(name, () => process.exit(128 + constants.signals[name]));
}

module.exports = { track, forget };
