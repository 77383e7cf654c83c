'use strict';

const bars = require('../plot/bars');
const cases = require('../cases');
const growth = require('../growth');
const lines = require('../plot/lines');
const ratios = require('../plot/ratios');
const { rivals } = require('../rivals');

/** Figures that go into one picture. */
const pictures = [
  { file: 'connections', case: 'connections', figures: ['perSecond', 'primaryCpu', 'p99'] },
  {
    file: 'messages',
    case: 'messages',
    figures: [
      'json, 64 B, toPrimary',
      'json, 64 B, toWorker',
      'advanced, 64 B, toPrimary',
      'json, 10 kB, toPrimary',
    ],
  },
];

/**
 * @param {Map<number, Record<string, object>>} results by major version of Node
 * @returns {Promise<{ file: string, title: string, svg: string }[]>}
 */
function plots(results) {
  const all = [...results].flatMap(([major, measured]) => [
    ...ratioPlot(measured, major),
    ...pictures.filter(picture => measured[picture.case]).map(picture => barPlot(picture, measured, major)),
    ...growth.filter(({ name }) => measured[name]).map(benchmark => linePlot(benchmark, measured, major)),
  ]);
  return Promise.all(all.map(async plot => ({ ...plot, svg: await plot.svg })));
}

function ratioPlot(measured, major) {
  if (!cases.some(({ name }) => measured[name])) return [];
  const title = `How many times better than Node ${major}’s own cluster`;
  return [{ file: `ratios-node${major}.svg`, title, svg: ratios(measured, major) }];
}

function barPlot({ file, case: name, figures }, measured, major) {
  const benchmark = cases.find(benchmark => benchmark.name === name);
  const outcome = measured[name];
  const panels = figures.map(figure => ({ ...benchmark.figures[figure], outcome, figure }));
  const title = `${benchmark.title}, Node ${major}`;
  return { file: `${file}-node${major}.svg`, title, svg: bars(title, panels, rivals) };
}

function linePlot(benchmark, measured, major) {
  const { points } = measured[benchmark.name];
  const shown = rivals.filter(({ name }) => benchmark.rivals.includes(name));
  const title = `${benchmark.title}, Node ${major}`;
  return {
    file: `${benchmark.name}-node${major}.svg`,
    title,
    svg: lines({ ...benchmark, title }, points, shown),
  };
}

module.exports = plots;
