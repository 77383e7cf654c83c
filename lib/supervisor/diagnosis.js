'use strict';

// Where a worker is stuck, as far as the kernel knows: it is asked neither to run code nor to answer.

const { readFile } = require('node:fs/promises');
const { setTimeout: pause } = require('node:timers/promises');

/** How long a worker is looked at, in ms. */
const LOOK = 500;

/** The kernel counts processor time in hundredths of a second. */
const TICK = 10;

/**
 * @param {number} pid
 * @returns {Promise<{ doing: string }>}
 */
async function diagnose(pid) {
  const first = await statOf(pid);
  await pause(LOOK);
  const last = await statOf(pid);
  if (!first || !last) return { doing: 'has ended meanwhile' };
  const share = Math.min(Math.round(((last.time - first.time) * TICK * 100) / LOOK), 100);
  if (last.state === 'T' || last.state === 't') return { doing: 'is stopped, by a signal or a debugger' };
  if (share >= 10) return { doing: `runs code that does not come to an end (${share} % of a processor)` };
  const where = await read(pid, 'wchan');
  return { doing: `waits in the kernel${/^\w+$/.test(where) && where !== '0' ? ` (${where})` : ''}` };
}

/** State and processor time of a process's first thread, which runs JavaScript. */
async function statOf(pid) {
  const stat = await read(pid, `task/${pid}/stat`);
  // The name before them may have spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat && { state: fields[0], time: Number(fields[11]) + Number(fields[12]) };
}

const read = (pid, name) => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '');

module.exports = { diagnose };
