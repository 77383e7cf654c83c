'use strict';

// Figures of rivals as bars: the median, and a line from the minimum to the maximum.

const { spreadOf } = require('../report/compare');
const { number } = require('../report/numbers');
const { picture, COLOUR } = require('./picture');

const ROW = 24;
const HEAD = 30;

/**
 * @param {string} title
 * @param {{ title: string, unit: string, better: string, outcome: object, figure: string }[]} panels
 * @param {{ name: string, title: string }[]} rivals
 */
function bars(title, panels, rivals) {
  return picture(
    title,
    panels.map(panel => (Plot, document) => chart(Plot, document, panel, rivals)),
  );
}

function chart(Plot, document, { title, unit, better, outcome, figure }, rivals) {
  const rows = rivals
    .map(rival => ({ ...rival, ...spreadOf(outcome, rival.name, figure) }))
    .filter(({ median }) => median !== undefined);
  const inUnit = unit && unit !== '/s' ? `, ${unit}` : '';
  return Plot.plot({
    document,
    width: 760,
    height: HEAD + rows.length * ROW + 8,
    marginTop: HEAD,
    marginRight: 90,
    marginBottom: 8,
    marginLeft: 200,
    x: { axis: null, zero: true },
    y: { label: null, tickSize: 0, domain: rows.map(row => row.title) },
    color: COLOUR,
    marks: [
      Plot.text([`${title}${inUnit} (${better} is better)`], {
        frameAnchor: 'top-left',
        dy: -20,
        opacity: 0.7,
      }),
      Plot.barX(rows, { x: 'median', y: 'title', fill: 'name', insetTop: 1, insetBottom: 1 }),
      Plot.ruleY(rows, { x1: 'min', x2: 'max', y: 'title' }),
      Plot.text(rows, {
        x: 'max',
        y: 'title',
        text: row => number(row.median),
        textAnchor: 'start',
        dx: 8,
      }),
    ],
  });
}

module.exports = bars;
