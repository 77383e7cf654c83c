'use strict';

/**
 * A case that is measured at several points of an axis. A figure with `work` is a cost: per unit of work(x) it
 * must not grow with x. What is below `floor` counts as no cost.
 * @typedef {import('../cases').Case & {
 *   axis: { title: string, values: number[] },
 *   figures: Record<string, import('../cases').Figure & { work?: (x: number) => number, floor?: number }>
 * }} GrowthCase
 */

/** @type {GrowthCase[]} */
module.exports = [require('./workers'), require('./clients'), require('./sizes'), require('./idle')];
