'use strict';

// How figures grow along an axis, both in powers: a straight line that rises by its work is no steeper than the grid.

const { spreadOf } = require('../report/compare');
const { number } = require('../report/numbers');
const { dot, line, path, picture, text } = require('./svg');

const PANEL = { width: 380, height: 250 };
const PLOT = { left: 62, top: 40, right: 16, bottom: 40 };
const HEAD = 56;

/**
 * @param {import('../growth').GrowthCase} benchmark
 * @param {{ x: number }[]} points outcomes along the axis
 * @param {{ name: string, title: string }[]} rivals
 */
function lines({ title, axis, figures }, points, rivals) {
  const content = [text(0, 16, title, 'title'), ...legend(rivals)];
  const entries = Object.entries(figures);
  for (const [i, [figure, { title, unit }]] of entries.entries()) {
    const series = rivals.map(({ name }) => ({ name, values: along(points, name, figure) }));
    const place = { x: (i % 2) * PANEL.width, y: HEAD + Math.floor(i / 2) * PANEL.height };
    const label = unit && unit !== '/s' ? `${title}, ${unit}` : title;
    content.push(...drawPanel(place, { label, axis, xs: points.map(point => point.x), series }));
  }
  const height = HEAD + Math.ceil(entries.length / 2) * PANEL.height;
  return picture({ width: 2 * PANEL.width, height, title, content });
}

/** What a logarithmic axis can show. */
const along = (points, rival, figure) =>
  points
    .map(({ x, ...outcome }) => [x, spreadOf(outcome, rival, figure)?.median])
    .filter(([, value]) => value > 0);

function legend(rivals) {
  return rivals.flatMap(({ name, title }, i) => [
    dot(8 + i * 220, 36, 5, `fill ${name}`),
    text(20 + i * 220, 41, title),
  ]);
}

function drawPanel({ x, y }, { label, axis, xs, series }) {
  const all = series.flatMap(({ values }) => values.map(([, value]) => value));
  if (all.length === 0) return [];
  const powers = powersAround(Math.min(...all), Math.max(...all));
  const across = scale([Math.min(...xs), Math.max(...xs)], [x + PLOT.left, x + PANEL.width - PLOT.right]);
  const up = scale([powers[0], powers.at(-1)], [y + PANEL.height - PLOT.bottom, y + PLOT.top]);
  const bottom = y + PANEL.height - PLOT.bottom;
  return [
    text(x + PLOT.left, y + PLOT.top - 14, label, 'quiet'),
    ...powers.flatMap(power => [
      line(x + PLOT.left, up(power), x + PANEL.width - PLOT.right, up(power), 'grid'),
      text(x + PLOT.left - 8, up(power) + 4, number(power), 'end quiet'),
    ]),
    ...xs.map(value => text(across(value), bottom + 18, short(value), 'middle quiet')),
    text(x + PANEL.width - PLOT.right, bottom + 34, axis.title, 'end quiet'),
    ...series.flatMap(({ name, values }) => {
      const places = values.map(([at, value]) => [across(at), up(value)]);
      return [path(places, `stroke ${name}`), ...places.map(([cx, cy]) => dot(cx, cy, 3, `fill ${name}`))];
    }),
  ];
}

/** The powers of ten from below the smallest value to above the largest. */
function powersAround(smallest, largest) {
  const first = Math.floor(Math.log10(smallest));
  const last = Math.max(first + 1, Math.ceil(Math.log10(largest)));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function scale([from, to], [start, end]) {
  const ratio = to > from ? (end - start) / Math.log(to / from) : 0;
  return value => start + Math.log(value / from) * ratio;
}

/** 65536 → 64 k */
function short(value) {
  if (value >= 2 ** 20) return `${value / 2 ** 20} M`;
  return value >= 10_000 ? `${value / 2 ** 10} k` : `${value}`;
}

module.exports = lines;
