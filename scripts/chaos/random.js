'use strict';

/**
 * Random numbers that come again with the same seed (mulberry32).
 *
 * @param {number} seed
 */
function random(seed) {
  let state = seed >>> 0;

  /** A number from 0 up to and without 1. */
  function next() {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 up to and without `limit`. */
  const below = limit => Math.floor(next() * limit);

  const pick = list => list[below(list.length)];

  /** @returns {Buffer} */
  const bytes = length => Buffer.from(Array.from({ length }, () => below(256)));

  function shuffle(list) {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  return { next, below, pick, bytes, shuffle };
}

module.exports = { random };
