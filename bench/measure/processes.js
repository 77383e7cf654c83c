'use strict';

// Whatever was started ends with the harness, however the harness ends.

const pids = new Set();

/** @param {number} pid */
const track = pid => pids.add(pid);

/** @param {number} pid */
const forget = pid => pids.delete(pid);

function killAll() {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
  pids.clear();
}

process.on('exit', killAll);
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(signal, () => process.exit(code));
}

module.exports = { track, forget };
