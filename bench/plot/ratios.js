'use strict';

// All targets that are ratios in one picture: how many times better than Node, and what was promised.

const { judge, targets } = require('../targets');
const { ratio } = require('../report/numbers');
const { dot, line, picture, text } = require('./svg');

const WIDTH = 900;
const LEFT = 390;
const RIGHT = 130;
const ROW = 26;
const TOP = 62;

/** The ends of the axis: what lies outside is drawn at its end. */
const SMALLEST = 0.5;
const LARGEST = 32;
const TICKS = [0.5, 1, 2, 4, 8, 16, 32];

/**
 * @param {Record<string, object>} cases
 * @param {number} nodeMajor
 */
function ratios(cases, nodeMajor) {
  const rows = targets
    .filter(({ kind }) => kind === 'ratio')
    .map(target => ({ target, judged: judge(target, cases, nodeMajor) }))
    .filter(({ judged }) => judged);
  const title = `rust-cluster against Node ${nodeMajor}’s own cluster: how many times better`;
  const bottom = TOP + rows.length * ROW;
  const content = [
    text(0, 16, title, 'title'),
    text(0, 36, '● median of the rounds   ─ all rounds   ┃ promised', 'quiet'),
    ...TICKS.flatMap(tick => [
      line(across(tick), TOP - 8, across(tick), bottom, tick === 1 ? 'base' : 'grid'),
      text(across(tick), bottom + 16, `${tick}×`, 'middle quiet'),
    ]),
    ...rows.flatMap((row, i) => drawRow(row, TOP + i * ROW + ROW / 2, nodeMajor)),
  ];
  return picture({ width: WIDTH, height: bottom + 24, title, content });
}

function drawRow({ target, judged }, y, nodeMajor) {
  const better = value => (target.better === 'higher' ? value : 1 / value);
  const { min, median, max } = judged.measured;
  const promised = across(better(target.ship(nodeMajor)));
  const rival = target.against === 'node-none' ? ', against a shared socket' : '';
  return [
    text(LEFT - 16, y + 4, `${target.title}${rival}`, 'end'),
    line(promised, y - 8, promised, y + 8, 'mark'),
    line(across(better(min)), y, across(better(max)), y, 'stroke rust-rr'),
    dot(across(better(median)), y, 5, 'fill rust-rr'),
    text(WIDTH - RIGHT + 24, y + 4, ratio(better(median))),
  ];
}

function across(value) {
  const inside = Math.min(LARGEST, Math.max(SMALLEST, value));
  return LEFT + (Math.log(inside / SMALLEST) / Math.log(LARGEST / SMALLEST)) * (WIDTH - LEFT - RIGHT);
}

module.exports = ratios;
