'use strict';

/** @typedef {{ min: number, median: number, max: number, count: number }} Summary */

/**
 * @param {number[]} values
 * @returns {Summary}
 */
function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted.at(-1), count: sorted.length };
}

module.exports = { summary };
