'use strict';

// What Linux knows of processes.

const fs = require('node:fs');

/** Ticks a second of the times in /proc/PID/stat: the same on every Linux that Node runs on. */
const TICKS = 100;

/** @returns {string | undefined} undefined: there is no such process */
function read(file) {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  }
}

/** The fields of /proc/PID/stat from the state on. */
function stat(pid) {
  const text = read(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** 'R', 'S', 'T' (stopped), 'Z' (zombie) …; undefined when the process is gone. */
const state = pid => stat(pid)?.[0];

const lives = pid => !['Z', 'X', undefined].includes(state(pid));

/** Milliseconds of processor time that a process has used. */
function cpu(pid) {
  const fields = stat(pid);
  return fields ? ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS : 0;
}

/** Resident memory in bytes. */
const rss = pid => Number(read(`/proc/${pid}/status`)?.match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) * 1024;

function list(folder) {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return [];
    throw error;
  }
}

/** @returns {string[]} what each descriptor of a process is */
function descriptors(pid) {
  return list(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [fs.readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

const threads = pid => list(`/proc/${pid}/task`).length;

/** @returns {number[]} */
function children(pid) {
  return list(`/proc/${pid}/task`).flatMap(task =>
    (read(`/proc/${pid}/task/${task}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  );
}

const zombies = pid => children(pid).filter(child => state(child) === 'Z').length;

/**
 * The clients' ports of the connections to `port` that a process holds.
 *
 * @returns {Set<number>}
 */
function connectionsHeld(pid, port) {
  const local = port.toString(16).toUpperCase().padStart(4, '0');
  const held = new Set(descriptors(pid));
  const ports = new Set();
  for (const file of ['tcp', 'tcp6']) {
    for (const line of (read(`/proc/${pid}/net/${file}`) ?? '').split('\n').slice(1)) {
      const [, here, there, , , , , , , inode] = line.trim().split(/\s+/);
      if (here?.endsWith(`:${local}`) && held.has(`socket:[${inode}]`)) {
        ports.add(Number.parseInt(there.slice(there.lastIndexOf(':') + 1), 16));
      }
    }
  }
  return ports;
}

/** Sends a signal; one that is gone needs none. */
function signal(pid, name) {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

/** Stops a process, and returns when it is stopped: no code of it runs any more. */
function stop(pid) {
  if (!signal(pid, 'SIGSTOP')) return false;
  // The kernel stops it at the next instruction; there is no event to wait for.
  for (;;) {
    const found = state(pid);
    if (found === 'T' || found === 't') return true;
    if (found === undefined || found === 'Z') return false;
  }
}

module.exports = { state, lives, cpu, rss, descriptors, threads, zombies, connectionsHeld, signal, stop };
