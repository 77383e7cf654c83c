'use strict';

// What the operating system says about a process.

const { readFileSync, readdirSync } = require('node:fs');

/**
 * The CPU time that a process has used, all its threads together, in µs.
 * @param {number} pid
 */
function cpu(pid) {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // A thread that has just ended.
    }
  }
  return nanoseconds / 1000;
}

/** The time that no CPU of this machine had work to do, in µs, all CPUs together. */
function idle() {
  const [, , , , ticks, waiting] = readFileSync('/proc/stat', 'utf8').split(/\s+/);
  return (Number(ticks) + Number(waiting)) * 10_000;
}

/**
 * Resident memory, in MB: `rss` as everybody counts it; `pss` shares what is shared; `own` is this process's alone.
 * @param {number} pid
 */
function memory(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = name => Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1]) / 1024;
  return {
    rss: megabytes('Rss'),
    pss: megabytes('Pss'),
    own: megabytes('Private_Clean') + megabytes('Private_Dirty'),
  };
}

module.exports = { cpu, idle, memory };
