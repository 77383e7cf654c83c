'use strict';

// Counts a process's system calls: figures without noise.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');

const leftovers = require('../../__test__/support/leftovers');

/** A line of strace's table: % time, seconds, µs a call, calls, errors if any, name. */
const LINE = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w+)$/;

/** Why system calls cannot be counted here; undefined: they can. */
async function unavailable() {
  if (spawnSync('strace', ['-V']).error) return 'strace is not installed';
  const process = spawn('sleep', ['10'], { stdio: 'ignore' });
  leftovers.track(process.pid);
  try {
    await countSyscalls(process.pid, async () => {});
  } catch (error) {
    return `strace may not trace here (kernel.yama.ptrace_scope?): ${error.message}`;
  } finally {
    process.kill('SIGKILL');
    leftovers.forget(process.pid);
  }
}

/**
 * Counts the system calls of all threads of a process while `work` goes on.
 * @param {number} pid
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{ total: number, calls: Record<string, number> }>}
 */
async function countSyscalls(pid, work) {
  const output = await traced(['-c', '-f', '-p', `${pid}`], work);
  const calls = {};
  for (const line of output.split('\n')) {
    const [, count, name] = line.match(LINE) ?? [];
    if (name && name !== 'total') calls[name] = Number(count);
  }
  return { total: Object.values(calls).reduce((sum, count) => sum + count, 0), calls };
}

/** A line of strace's log: the thread, if there are several, the call, as it ends, and what it returned. */
const CALL = /^(?:\[pid +(\d+)\] )?(?:<\.\.\. )?([a-z]\w+)[( ].* = (-?\d+)/;

/**
 * The calls of these names that the threads of a process make while `work` goes on, in each thread's order.
 * @param {number} pid
 * @param {string[]} names
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{ name: string, result: number }[][]>} a row a thread
 */
async function followSyscalls(pid, names, work) {
  const output = await traced(['-f', '-e', `trace=${names}`, '-e', 'signal=none', '-p', `${pid}`], work);
  const threads = new Map();
  for (const line of output.split('\n')) {
    const [, thread = pid, name, result] = line.match(CALL) ?? [];
    if (!names.includes(name)) continue;
    if (!threads.has(thread)) threads.set(thread, []);
    threads.get(thread).push({ name, result: Number(result) });
  }
  return [...threads.values()];
}

/** What strace says of a process while `work` goes on. */
async function traced(options, work) {
  const strace = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  leftovers.track(strace.pid);
  const closed = once(strace, 'close');
  let output = '';
  const attached = new Promise((resolve, reject) => {
    strace.stderr.on('data', data => {
      output += data;
      if (output.includes('attached')) resolve();
    });
    closed.then(() => reject(new Error(`strace ended: ${output.trim()}`)));
  });
  try {
    await attached;
    await work();
  } finally {
    strace.kill('SIGINT');
    await closed;
    leftovers.forget(strace.pid);
  }
  return output;
}

module.exports = { unavailable, countSyscalls, followSyscalls };
