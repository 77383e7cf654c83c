'use strict';

// How figures grow along an axis, both in powers: a straight line that rises by its work is no steeper than the grid.

const { spreadOf } = require('../report/compare');
const { number } = require('../report/numbers');
const { picture, COLOUR } = require('./picture');

/**
 * @param {import('../growth').GrowthCase} benchmark
 * @param {{ x: number }[]} points outcomes along the axis
 * @param {{ name: string, title: string }[]} rivals
 */
function lines({ title, axis, figures }, points, rivals) {
  const charts = Object.entries(figures).map(([figure, { title, unit }]) => {
    const label = unit && unit !== '/s' ? `${title}, ${unit}` : title;
    const rows = rivals.flatMap(rival => along(points, rival, figure));
    return (Plot, document) => chart(Plot, document, { label, axis, rows });
  });
  return picture(title, charts, { columns: 2, legend: rivals });
}

/** What a logarithmic axis can show. */
const along = (points, { name }, figure) =>
  points
    .map(({ x, ...outcome }) => ({ x, y: spreadOf(outcome, name, figure)?.median, name }))
    .filter(({ y }) => y > 0);

function chart(Plot, document, { label, axis, rows }) {
  const xs = [...new Set(rows.map(({ x }) => x))];
  return Plot.plot({
    document,
    width: 400,
    height: 250,
    marginTop: 44,
    marginLeft: 64,
    marginRight: 24,
    marginBottom: 44,
    x: {
      type: 'log',
      ticks: xs,
      tickFormat: short,
      tickSize: 0,
      label: axis.title,
      labelArrow: 'none',
      labelOffset: 40,
    },
    y: { type: 'log', ticks: 3, tickFormat: number, tickSize: 0, label: null, grid: true, nice: true },
    color: COLOUR,
    marks: [
      Plot.text([label], { frameAnchor: 'top-left', dx: -54, dy: -30, opacity: 0.7 }),
      Plot.line(rows, { x: 'x', y: 'y', stroke: 'name', strokeWidth: 2 }),
      Plot.dot(rows, { x: 'x', y: 'y', fill: 'name', r: 3 }),
      Plot.text(
        rows,
        Plot.selectLast({ x: 'x', y: 'y', z: 'name', text: 'title', textAnchor: 'end', dy: -9 }),
      ),
    ],
  });
}

/** 65536 → 64 k */
function short(value) {
  if (value >= 2 ** 20) return `${value / 2 ** 20} M`;
  return value >= 10_000 ? `${value / 2 ** 10} k` : `${value}`;
}

module.exports = lines;
