'use strict';

// All targets that are ratios in one picture: how many times better than Node, and what was promised.

const { judge, targets } = require('../targets');
const { ratio } = require('../report/numbers');
const { picture } = require('./picture');

const ROW = 26;
const TICKS = [0.5, 1, 2, 4, 8, 16, 32];

/**
 * @param {Record<string, object>} cases
 * @param {number} nodeMajor
 */
function ratios(cases, nodeMajor) {
  const rows = targets
    .filter(({ kind }) => kind === 'ratio')
    .map(target => ({ target, judged: judge(target, cases, nodeMajor) }))
    .filter(({ judged }) => judged)
    .map(row => describe(row, nodeMajor));
  const title = `rust-cluster against Node ${nodeMajor}’s own cluster: how many times better`;
  return picture(title, [(Plot, document) => chart(Plot, document, rows)]);
}

function describe({ target, judged }, nodeMajor) {
  const better = value => (target.better === 'higher' ? value : 1 / value);
  const { min, median, max } = judged.measured;
  const rival = target.against === 'node-none' ? ', against a shared socket' : '';
  return {
    title: `${target.title}${rival}`,
    ends: [better(min), better(max)].sort((a, b) => a - b),
    median: better(median),
    promised: better(target.ship(nodeMajor)),
  };
}

function chart(Plot, document, rows) {
  return Plot.plot({
    document,
    width: 900,
    height: 80 + rows.length * ROW,
    marginTop: 36,
    marginRight: 90,
    marginLeft: 400,
    // What lies outside is drawn at the end.
    x: {
      type: 'log',
      base: 2,
      domain: [TICKS[0], TICKS.at(-1)],
      clamp: true,
      ticks: TICKS,
      tickFormat: tick => `${tick}×`,
      grid: true,
      label: null,
    },
    y: { label: null, tickSize: 0, domain: rows.map(row => row.title) },
    marks: [
      Plot.text(['● median of the rounds   ─ all rounds   ┃ promised'], {
        frameAnchor: 'top-left',
        dx: -400,
        dy: -26,
        opacity: 0.7,
      }),
      Plot.ruleX([1]),
      Plot.tickX(rows, { x: 'promised', y: 'title', strokeWidth: 2, insetTop: 4, insetBottom: 4 }),
      Plot.ruleY(rows, {
        x1: row => row.ends[0],
        x2: row => row.ends[1],
        y: 'title',
        stroke: 'var(--rust-rr)',
        strokeWidth: 2,
      }),
      Plot.dot(rows, { x: 'median', y: 'title', r: 5, fill: 'var(--rust-rr)' }),
      Plot.text(rows, {
        frameAnchor: 'right',
        y: 'title',
        text: row => ratio(row.median),
        textAnchor: 'start',
        dx: 16,
      }),
    ],
  });
}

module.exports = ratios;
