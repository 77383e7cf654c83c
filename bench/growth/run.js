'use strict';

const alternate = require('../rounds');
const { aligned } = require('../report/table');
const { number, ratio } = require('../report/numbers');
const { spreadOf } = require('../report/compare');
const { TOLERANCE, worstGrowth } = require('./verdict');

/**
 * Measures a case point by point.
 * @param {import('.').GrowthCase} benchmark
 * @param {object} settings as for alternate()
 * @param {(step: object) => void} progress
 */
async function grow(benchmark, settings, progress) {
  const points = [];
  for (const x of benchmark.axis.values) {
    const point = {
      ...benchmark,
      name: `${benchmark.name} at ${x}`,
      sample: (rival, values) => benchmark.sample(rival, { ...values, x }),
    };
    const step = ({ round, rival }) => progress({ round, rival: `${x} ${benchmark.axis.title}, ${rival}` });
    points.push({ x, ...(await alternate(point, settings, step)) });
  }
  const all = name => points.flatMap(point => point[name]);
  return { points, failures: all('failures'), limits: all('limits') };
}

/** The table that the terminal shows: medians along the axis, and how much the cost grew. */
function growthTable({ title, axis, figures }, { points }, rivals) {
  const sections = Object.entries(figures).map(([figure, { title, unit, work, floor }]) => {
    const head = [axis.title, ...rivals];
    const rows = points.map(({ x, ...outcome }) => [
      number(x),
      ...rivals.map(rival => number(spreadOf(outcome, rival, figure)?.median)),
    ]);
    const verdict = work
      ? [['grew by', ...rivals.map(rival => growth(points, { rival, figure, work, floor }))]]
      : [];
    const inUnit = unit === '/s' ? '' : ` in ${unit}`;
    return `${title}${inUnit}\n${aligned([head, ...rows, ...verdict])}`;
  });
  return `${title}\n"grew by": the cost per unit of work, from any point to a later one\n\n${sections.join('\n\n')}\n`;
}

function growth(points, cost) {
  const worst = worstGrowth(points, cost);
  return worst > TOLERANCE ? `${ratio(worst)} !` : ratio(worst);
}

module.exports = { grow, growthTable };
