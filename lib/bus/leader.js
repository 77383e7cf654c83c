'use strict';

// One process at a time leads: who holds a lock of that name.

const cluster = require('node:cluster');

const errors = require('../errors');
const { locks } = require('./locks');

/** Their names begin as no lock of a program's may look. */
const PREFIX = 'leader:';

/** Where a worker's cluster object has what lib/cluster/child.js is for it. */
const WITHIN = Symbol.for('rust-cluster.within');

/** What tells each that leads, or waits for it, that the worker leaves; and whether it does. */
const leaders = new Set();
let leaving = false;

cluster[WITHIN]?.onleave.push(() => {
  leaving = true;
  for (const leave of leaders) leave();
});

/**
 * Waits until this process leads, and calls `lead`: it leads until what that returns has settled. The signal tells that it
 * is to stop: the worker leaves, `signal` says so, or there is no hub any more. Resolves to undefined in a worker that leaves
 * and does not lead.
 * @param {string} name
 * @param {{ signal?: AbortSignal }} options
 * @param {(signal: AbortSignal) => any} lead
 */
async function leader(name, options, lead) {
  if (typeof options === 'function') return leader(name, {}, options);
  const { signal } = options ?? {};
  if (typeof lead !== 'function') throw errors.badLeader(lead);
  const end = new AbortController();
  const endWith = other => {
    const abort = () => end.abort(other.reason);
    if (other.aborted) abort();
    else other.addEventListener('abort', abort, { once: true });
    return () => other.removeEventListener('abort', abort);
  };
  const left = errors.workerLeaves();
  const leave = () => end.abort(left);
  leaders.add(leave);
  if (leaving) leave();
  const letGo = signal && endWith(signal);
  try {
    return await locks.request(`${PREFIX}${name}`, { signal: end.signal }, (_lock, lost) => {
      endWith(lost);
      return lead(end.signal);
    });
  } catch (reason) {
    // Others lead from now on, and nobody has failed.
    if (reason !== left) throw reason;
  } finally {
    leaders.delete(leave);
    letGo?.();
  }
}

module.exports = { leader };
