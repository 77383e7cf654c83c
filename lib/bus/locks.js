'use strict';

// Locks that all processes of the cluster know: the interface of the Web Locks API. The hub knows who holds one, and the
// kernel tells it when that process ends.

const { AsyncResource } = require('node:async_hooks');

const errors = require('../errors');
const { ask, thisMember } = require('./member');
const { WISH, checkName, say } = require('./protocol');

const MODES = ['exclusive', 'shared'];

class Lock {
  #name;
  #mode;

  constructor(name, mode) {
    this.#name = name;
    this.#mode = mode;
  }

  get name() {
    return this.#name;
  }

  get mode() {
    return this.#mode;
  }

  get [Symbol.toStringTag]() {
    return 'Lock';
  }
}

/**
 * Calls back with the lock once this process has it, and gives it back when what that returns has settled.
 * @param {string} name
 * @param {{ mode?: 'exclusive' | 'shared', ifAvailable?: boolean, steal?: boolean, signal?: AbortSignal }} options
 * @param {(lock: Lock | null, lost: AbortSignal) => any} callback null: it is not available. `lost`: it was stolen, or
 *   there is no hub any more
 */
function request(name, { mode = 'exclusive', ifAvailable = false, steal = false, signal }, callback) {
  const wish = wishFor(name, { mode, ifAvailable, steal, signal });
  if (typeof callback !== 'function') throw errors.badLockCallback(callback);
  signal?.throwIfAborted();
  const member = thisMember();
  return new Promise((resolve, reject) => {
    const lost = new AbortController();
    let held = false;

    /** Its word on it is: the process has no claim to it any more. */
    const lose = reason => {
      signal?.removeEventListener('abort', abort);
      process.nextTick(() => lost.abort(reason));
      reject(reason);
      return true;
    };
    // The hub's word comes from outside: what was asked for is used where it was asked for.
    const use = AsyncResource.bind(async lock => {
      signal?.removeEventListener('abort', abort);
      try {
        resolve(await callback(lock, lost.signal));
      } catch (reason) {
        reject(reason);
      }
      if (lock && !lost.signal.aborted) giveBack();
    });
    const giveBack = () => {
      member.forget(id);
      member.mention(say.unlock(id));
    };
    const abort = () => {
      if (held) return;
      giveBack();
      reject(signal.reason);
    };
    const heard = {
      granted() {
        held = true;
        process.nextTick(use, new Lock(name, mode));
        return false;
      },
      unavailable() {
        process.nextTick(use, null);
        return true;
      },
      stolen: () => lose(errors.lockStolen()),
      refused: ({ why }) => lose(errors.busRefused(why)),
      ended: ({ reason }) => lose(reason),
    };
    const id = member.ask(
      number => say.lock(number, wish, name),
      notice => heard[notice.is](notice),
      true,
    );
    signal?.addEventListener('abort', abort, { once: true });
  });
}

function wishFor(name, { mode, ifAvailable, steal, signal }) {
  checkName('lock', name);
  if (name.startsWith('-')) throw errors.notSupported('Names that begin with a hyphen are reserved.');
  if (!MODES.includes(mode)) throw errors.badLockMode(mode);
  if (steal && ifAvailable) throw errors.notSupported('steal and ifAvailable cannot be used together.');
  if (steal && mode !== 'exclusive') throw errors.notSupported('steal needs the mode "exclusive".');
  if (signal && (steal || ifAvailable))
    throw errors.notSupported('signal can be used with neither steal nor ifAvailable.');
  if (steal) return WISH.steal;
  if (mode === 'shared') return ifAvailable ? WISH.sharedIfAvailable : WISH.shared;
  return ifAvailable ? WISH.exclusiveIfAvailable : WISH.exclusive;
}

const locks = {
  /** @type {(name: string, options: object | Function, callback?: Function) => Promise<any>} */
  async request(name, options, callback) {
    return typeof options === 'function'
      ? request(`${name}`, {}, options)
      : request(`${name}`, options ?? {}, callback);
  },

  /** Which locks are held, and waited for. */
  async query() {
    const rows = await ask(say.locks, notice => notice.rows);
    const those = wanted =>
      rows
        .filter(({ held }) => held === wanted)
        .map(({ name, mode, from }) => ({ name, mode, clientId: `${from}` }));
    return { held: those(true), pending: those(false) };
  },

  get [Symbol.toStringTag]() {
    return 'LockManager';
  },
};

module.exports = { locks };
