'use strict';

// One process at a time leads: who holds a lock of that name.

const cluster = require('node:cluster');

const errors = require('../errors');
const { locks } = require('./locks');

/** Their names begin as no lock of a program's may look. */
const PREFIX = 'leader:';

/** What a worker emits on its cluster object when it is told to leave. */
const LEAVING = Symbol.for('rust-cluster.leaving');

/**
 * Waits until this process leads, and calls `lead`: it leads until what that returns has settled. The signal tells that it
 * is to stop: the worker leaves, `signal` says so, or there is no hub any more.
 * @param {string} name
 * @param {{ signal?: AbortSignal }} options
 * @param {(signal: AbortSignal) => any} lead
 */
async function leader(name, options, lead) {
  if (typeof options === 'function') return leader(name, {}, options);
  const { signal } = options ?? {};
  if (typeof lead !== 'function') throw errors.badLeader(lead);
  const leaving = new AbortController();
  const leave = () => leaving.abort(errors.workerLeaves());
  cluster.once(LEAVING, leave);
  const end = AbortSignal.any([leaving.signal, ...(signal ? [signal] : [])]);
  try {
    return await locks.request(`${PREFIX}${name}`, { signal: end }, (_lock, lost) =>
      lead(AbortSignal.any([end, lost])),
    );
  } finally {
    cluster.removeListener(LEAVING, leave);
  }
}

module.exports = { leader };
