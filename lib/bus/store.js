'use strict';

// Values and counters that all processes of the cluster share, each for a while. They are kept in the hub, and go with
// the primary.

const errors = require('../errors');
const { fromBytes, toBytes } = require('./clone');
const { ask } = require('./member');
const { checkName, say } = require('./protocol');

/** Milliseconds; 0: for ever. */
function lifetime(ttl = 0) {
  if (!Number.isSafeInteger(ttl) || ttl < 0) throw errors.badLifetime(ttl);
  return ttl;
}

function toValue({ data, counter }) {
  if (counter !== undefined) return Number(counter);
  return data && fromBytes(data);
}

const store = {
  /** What is kept under a key, undefined if nothing is. */
  async get(key) {
    checkName('key', key);
    return ask(id => say.get(id, key), toValue);
  },

  /**
   * Keeps a value. An integer is a counter from then on.
   * @param {string} key
   * @param {any} value
   * @param {{ ttl?: number }} [options] `ttl`: for so many milliseconds
   */
  async set(key, value, { ttl } = {}) {
    checkName('key', key);
    const left = lifetime(ttl);
    // It is a counter as well: increment() goes on from there.
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      await ask(id => say.count(id, value, left, key));
    } else {
      const bytes = toBytes(value);
      await ask(id => say.set(id, left, key, bytes));
    }
  },

  /**
   * Adds to a counter, which begins at 0.
   * @param {string} key
   * @param {{ by?: number, ttl?: number }} [options] `ttl`: how many milliseconds it lives from its beginning on
   * @returns {Promise<{ value: number, ttl: number }>} `ttl`: how long it lives still; 0: for ever
   */
  async increment(key, { by = 1, ttl } = {}) {
    checkName('key', key);
    if (!Number.isSafeInteger(by)) throw errors.badIncrement(by);
    const left = lifetime(ttl);
    return ask(
      id => say.increment(id, by, left, key),
      ({ counter, left }) => ({ value: Number(counter), ttl: left }),
    );
  },

  /** @returns {Promise<boolean>} whether something was kept */
  async delete(key) {
    checkName('key', key);
    return ask(
      id => say.delete(id, key),
      ({ counter }) => counter === 1n,
    );
  },
};

module.exports = { store };
