'use strict';

const fs = require('node:fs');
const path = require('node:path');

/** Where the processes of a run note their exits. */
function logFile(dir) {
  return path.join(dir, 'exits.jsonl');
}

/**
 * How every process that a test started has ended: an exit code, a signal, or '?' where nobody saw it. Sorted,
 * since the order in which workers end is nobody's promise.
 *
 * @param {string} dir
 * @param {number} main the test's own process, which has a result of its own
 * @returns {string[]}
 */
function readExits(dir, main) {
  const ends = new Map();
  for (const { event, pid, exit } of readLog(dir)) {
    if (pid === main || pid === undefined) continue;
    const end = ends.get(pid) ?? {};
    ends.set(pid, { ...end, [event]: exit });
  }
  return [...ends.values()].map(({ seen, end }) => String(seen ?? end ?? '?')).sort();
}

function readLog(dir) {
  return fs
    .readFileSync(logFile(dir), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line));
}

/** `['0', '0', 'SIGTERM']` as `0 ×2, SIGTERM`. */
function summary(exits) {
  const counts = new Map();
  for (const exit of exits) counts.set(exit, (counts.get(exit) ?? 0) + 1);
  const parts = [...counts].map(([exit, count]) => (count === 1 ? exit : `${exit} ×${count}`));
  return parts.join(', ') || 'none';
}

module.exports = { logFile, readExits, summary };
