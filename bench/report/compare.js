'use strict';

// From rounds to what is told about them.

const { summary } = require('../measure/statistics');

/**
 * The values of one figure for one rival, in the rounds that have it.
 * @param {import('../rounds').Outcome} outcome
 */
function values({ rounds }, rival, figure) {
  return rounds.map(round => round[rival]?.[figure]).filter(Number.isFinite);
}

/** Minimum, median and maximum; undefined where nothing was measured. */
function spreadOf(outcome, rival, figure) {
  const all = values(outcome, rival, figure);
  return all.length > 0 ? summary(all) : undefined;
}

/**
 * One rival against another, round by round, so that what both felt cancels out.
 * @param {'ratio' | 'difference'} kind
 */
function against(outcome, { ours, theirs, figure, kind = 'ratio' }) {
  const all = outcome.rounds
    .filter(round => Number.isFinite(round[ours]?.[figure]) && Number.isFinite(round[theirs]?.[figure]))
    .map(round =>
      kind === 'ratio'
        ? round[ours][figure] / round[theirs][figure]
        : round[ours][figure] - round[theirs][figure],
    )
    .filter(Number.isFinite);
  return all.length > 0 ? summary(all) : undefined;
}

module.exports = { spreadOf, against };
