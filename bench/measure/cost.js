'use strict';

const proc = require('../../__test__/support/proc');

/** What each of so many takes, in microseconds: of time, and of the processors for all these processes. */
async function costOf(pids, count, act) {
  const before = cpuOf(pids);
  const start = performance.now();
  const result = await act();
  const time = ((performance.now() - start) * 1e3) / count;
  return { time, cpu: (cpuOf(pids) - before) / count, result };
}

const cpuOf = pids => pids.reduce((sum, pid) => sum + proc.cpu(pid), 0);

module.exports = { costOf };
