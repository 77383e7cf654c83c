'use strict';

const { spreadOf } = require('../report/compare');

/** Up to which factor it is noise, and the steps that caches and sleeping processes make. */
const TOLERANCE = 2;

/**
 * The largest growth of a figure's cost per unit of work, from any point to a later one.
 * @param {{ x: number }[]} points outcomes along the axis
 * @param {{ rival: string, figure: string, work: (x: number) => number, floor?: number }} cost `floor`: a cost
 *   that counts as none
 * @returns {number | undefined}
 */
function worstGrowth(points, { rival, figure, work, floor = 0 }) {
  let cheapest;
  let worst;
  for (const { x, ...outcome } of points) {
    const spread = spreadOf(outcome, rival, figure);
    if (!spread) continue;
    const cost = Math.max(spread.median, floor) / work(x);
    if (cheapest !== undefined) worst = Math.max(worst ?? 0, cost / cheapest);
    cheapest = Math.min(cheapest ?? cost, cost);
  }
  return worst;
}

module.exports = { worstGrowth, TOLERANCE };
