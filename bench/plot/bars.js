'use strict';

// Figures of rivals as bars: the median, and a line from the minimum to the maximum.

const { spreadOf } = require('../report/compare');
const { number } = require('../report/numbers');
const { line, picture, rect, text } = require('./svg');

const WIDTH = 760;
const LEFT = 200;
const RIGHT = 90;
const ROW = 24;
const HEAD = 34;
const GAP = 14;

/**
 * @param {string} title
 * @param {{ title: string, unit: string, better: string, outcome: object, figure: string }[]} panels
 * @param {{ name: string, title: string }[]} rivals
 */
function bars(title, panels, rivals) {
  const content = [text(0, 16, title, 'title')];
  let y = 30;
  for (const panel of panels) {
    const rows = rivals
      .map(rival => ({ rival, spread: spreadOf(panel.outcome, rival.name, panel.figure) }))
      .filter(row => row.spread);
    content.push(...drawPanel(panel, rows, y));
    y += HEAD + rows.length * ROW + GAP;
  }
  return picture({ width: WIDTH, height: y, title, content });
}

function drawPanel({ title, unit, better }, rows, top) {
  const largest = Math.max(...rows.map(({ spread }) => spread.max));
  const scale = value => LEFT + (value / largest) * (WIDTH - LEFT - RIGHT);
  const inUnit = unit && unit !== '/s' ? `, ${unit}` : '';
  const head = text(LEFT, top + 20, `${title}${inUnit} (${better} is better)`, 'quiet');
  return [
    head,
    ...rows.flatMap(({ rival, spread }, i) => {
      const y = top + HEAD + i * ROW;
      const middle = y + ROW / 2 - 3;
      return [
        text(LEFT - 10, middle + 5, rival.title, 'end'),
        rect(LEFT, y, Math.max(1, scale(spread.median) - LEFT), ROW - 6, `fill ${rival.name}`),
        line(scale(spread.min), middle, scale(spread.max), middle, 'range'),
        text(scale(spread.max) + 8, middle + 5, number(spread.median)),
      ];
    }),
  ];
}

module.exports = bars;
