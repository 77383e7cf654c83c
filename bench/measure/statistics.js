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

/** The smallest of the values below or at which so great a share of them lies. */
function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

module.exports = { quantile, summary };
