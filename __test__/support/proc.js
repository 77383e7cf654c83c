'use strict';

// What Linux knows of processes: the one reader of /proc.

const fs = require('node:fs');

/** A tick of the times in /proc/stat, in microseconds: the same on every Linux that Node runs on. */
const TICK = 10_000;

/** There is no such process, or its user keeps it to himself. */
const isAbsent = ({ code }) => ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code);

/** @returns {string | undefined} undefined: there is no such process that we may look at */
function read(file) {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch (error) {
    if (isAbsent(error)) return undefined;
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

/** The session that a process belongs to. */
const session = pid => Number(stat(pid)?.[3]);

/** Its command line, and its environment: each argument and entry ends with a NUL. */
const command = pid => read(`/proc/${pid}/cmdline`) ?? '';
const environment = pid => read(`/proc/${pid}/environ`) ?? '';

/** Microseconds of processor time that a process has used, all threads that it has together. */
function cpu(pid) {
  const times = list(`/proc/${pid}/task`).map(task => read(`/proc/${pid}/task/${task}/schedstat`) ?? '0');
  return times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1000;
}

/** Microseconds that no processor of this machine had work to do, all processors together. */
function idle() {
  const [, , , , ticks, waiting] = read('/proc/stat').split(/\s+/);
  return (Number(ticks) + Number(waiting)) * TICK;
}

/**
 * Resident memory in bytes: `rss` as everybody counts it; `pss` shares what is shared; `own` is this process's alone.
 */
function memory(pid) {
  const rollup = read(`/proc/${pid}/smaps_rollup`) ?? '';
  const bytes = name => Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0) * 1024;
  return { rss: bytes('Rss'), pss: bytes('Pss'), own: bytes('Private_Clean') + bytes('Private_Dirty') };
}

/** The most resident memory that a process has had, in bytes. */
const mostResident = pid =>
  Number(read(`/proc/${pid}/status`)?.match(/^VmHWM:\s+(\d+) kB/m)?.[1] ?? 0) * 1024;

function list(folder) {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** All processes. */
const all = () => list('/proc').map(Number).filter(Boolean);

/** The descriptors of a process, each with what the kernel calls it. */
function descriptors(pid) {
  const open = {};
  for (const fd of list(`/proc/${pid}/fd`)) {
    try {
      open[fd] = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch (error) {
      // Closed meanwhile: that of the listing itself is.
      if (!isAbsent(error)) throw error;
    }
  }
  return open;
}

const threads = pid => list(`/proc/${pid}/task`).length;

/** The names of its threads; one that ends meanwhile has none. */
const threadNames = pid =>
  list(`/proc/${pid}/task`).flatMap(task => read(`/proc/${pid}/task/${task}/comm`)?.trim() ?? []);

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
  const held = new Set(Object.values(descriptors(pid)));
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

/** How many connections to a Unix path a process holds: the kernel names them as it names their listener. */
function connectionsHeldOfPath(pid, path) {
  const held = new Set(Object.values(descriptors(pid)));
  const sockets = (read(`/proc/${pid}/net/unix`) ?? '').split('\n').map(line => line.trim().split(/\s+/));
  // 03: connected; that of the listener is 01.
  return sockets.filter(
    ([, , , , , state, inode, name]) => name === path && state === '03' && held.has(`socket:[${inode}]`),
  ).length;
}

/** How many clients have connected to a port of 127.0.0.1 and were not accepted yet. */
function backlog(pid, port) {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = (read(`/proc/${pid}/net/tcp`) ?? '').split('\n').map(line => line.trim().split(/\s+/));
  const listening = lines.find(([, local, , state]) => local === address && state === '0A');
  return Number.parseInt(listening[4].split(':')[1], 16);
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

module.exports = {
  all,
  read,
  state,
  lives,
  session,
  command,
  environment,
  cpu,
  idle,
  memory,
  mostResident,
  descriptors,
  threads,
  threadNames,
  children,
  zombies,
  connectionsHeld,
  connectionsHeldOfPath,
  backlog,
  signal,
  stop,
};
