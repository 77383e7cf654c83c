'use strict';

// The measured part of docs/performance.md.

const cases = require('../cases');
const growth = require('../growth');
const { TOLERANCE, worstGrowth } = require('../growth/verdict');
const { describe, describeLimit, judge, targets } = require('../targets');
const { rivals } = require('../rivals');
const { spreadOf } = require('./compare');
const { number, ratio } = require('./numbers');

const VERDICTS = { aim: '●', ship: '○', missed: '✗' };

/**
 * @param {Map<number, Record<string, object>>} results by major version of Node
 * @param {{ file: string, title: string }[]} plots
 */
function document(results, plots) {
  if (results.size === 0) return 'Nothing has been measured yet.\n';
  const majors = [...results.keys()];
  return [
    '### Promised and measured',
    targetTable(results, majors),
    '● what was aimed at, ○ what was promised, ✗ missed; in brackets the lowest and the highest of the rounds.',
    ...plots.filter(({ file }) => file.startsWith('ratios')).map(image),
    '### Every figure',
    'Medians.',
    ...cases.map(benchmark => caseTable(benchmark, results, majors)),
    ...plots.filter(({ file }) => !/^(ratios|growth)/.test(file)).map(image),
    ...growthPart(results, majors, plots),
    '### Where it was measured',
    ...majors.map(major => origins(major, results.get(major))),
  ]
    .filter(Boolean)
    .join('\n\n')
    .concat('\n');
}

const image = ({ file, title }) => `![${title}](../bench/plots/${file})`;

function markdown([head, ...rows]) {
  const line = cells => `| ${cells.join(' | ')} |`;
  const separator = line(head.map((_, i) => (i === 0 ? '---' : '--:')));
  return [line(head), separator, ...rows.map(line)].join('\n');
}

function targetTable(results, majors) {
  const head = ['figure', 'against', 'ship', 'aim', ...majors.map(major => `Node ${major}`)];
  const rows = targets.map(target => {
    const { title, shipText, ship, aim, better, against, kind } = target;
    const sign = better === 'higher' ? '≥' : '≤';
    const limit = value => (value === undefined ? '–' : `${sign} ${describeLimit(target, value)}`);
    return [
      title,
      kind === 'value' ? '–' : rivals.find(({ name }) => name === against).title,
      shipText ?? limit(ship(majors[0])),
      limit(aim),
      ...majors.map(major => cell(target, judge(target, results.get(major), major))),
    ];
  });
  return markdown([head, ...rows]);
}

function cell(target, judged) {
  if (!judged) return '–';
  const { min, median, max } = judged.measured;
  return `${VERDICTS[judged.verdict]} **${describe(target, median)}** (${describe(target, min)} … ${describe(target, max)})`;
}

/** One table a case: a row a figure and version of Node, a column a rival. */
function caseTable(benchmark, results, majors) {
  const measured = majors.filter(major => results.get(major)[benchmark.name]);
  if (measured.length === 0) return undefined;
  const shown = rivals.filter(
    ({ name }) =>
      benchmark.rivals.includes(name) &&
      measured.some(major => results.get(major)[benchmark.name].rounds.some(round => round[name])),
  );
  const isMeasured = figure => major =>
    shown.some(({ name }) => spreadOf(results.get(major)[benchmark.name], name, figure));
  const rows = Object.entries(benchmark.figures).flatMap(([figure, { title, unit }]) =>
    measured
      .filter(isMeasured(figure))
      .map(major => [
        unit && unit !== '/s' ? `${title}, ${unit}` : title,
        `${major}`,
        ...shown.map(({ name }) =>
          number(spreadOf(results.get(major)[benchmark.name], name, figure)?.median),
        ),
      ]),
  );
  const table = markdown([['', 'Node', ...shown.map(({ title }) => title)], ...rows]);
  return `**${benchmark.title}.** Verified: ${benchmark.verified}.\n\n${table}`;
}

function growthPart(results, majors, plots) {
  const rows = growth.flatMap(benchmark =>
    majors
      .filter(major => results.get(major)[benchmark.name])
      .flatMap(major => growthRows(benchmark, results.get(major)[benchmark.name], major)),
  );
  if (rows.length === 0) return [];
  const shown = rivals.filter(({ name }) => growth[0].rivals.includes(name)).map(({ title }) => title);
  return [
    '### How cost grows',
    `The cost per unit of work, from any point of the axis to a later one; up to ${ratio(TOLERANCE)} is noise and caches.`,
    markdown([['cost', 'over', 'Node', ...shown], ...rows]),
    ...plots.filter(({ file }) => file.startsWith('growth')).map(image),
  ];
}

function growthRows(benchmark, { points }, major) {
  const { values, title: axis } = benchmark.axis;
  const range = `${number(values[0])} … ${number(values.at(-1))} ${axis}`;
  return Object.entries(benchmark.figures)
    .filter(([, { work }]) => work)
    .map(([figure, { title, work, floor }]) => [
      title,
      range,
      `${major}`,
      ...benchmark.rivals.map(rival => ratio(worstGrowth(points, { rival, figure, work, floor }))),
    ]);
}

/** Which runs the figures of one version of Node come from. */
function origins(major, measured) {
  const runs = new Map();
  for (const [name, { run, rounds, others, limits, failures }] of Object.entries(measured)) {
    const names = runs.get(run.date) ?? { run, names: [] };
    const notes = [
      others > 0.1 && `other programs used ${others.toFixed(1)} CPUs`,
      limits.length > 0 && `${limits.length} samples left out, the load was the limit`,
      failures.length > 0 && `${failures.length} samples failed`,
    ].filter(Boolean);
    const count = rounds ? `${rounds.length} rounds` : '';
    names.names.push([name, [count, ...notes].filter(Boolean).join(', ')]);
    runs.set(run.date, names);
  }
  const lines = [...runs.values()].map(({ run, names }) => {
    const { cpu, cpus, memory, kernel } = run.machine;
    const what = names.map(([name, notes]) => (notes ? `${name} (${notes})` : name)).join(', ');
    return (
      `- ${run.date.slice(0, 10)}, commit ${run.commit}, Node ${run.node}, ${cpus} CPUs (${cpu}), ${memory}, ${kernel}, ` +
      `load by ${run.load.name} ${run.load.version}: ${what}`
    );
  });
  return `Node ${major}:\n\n${lines.join('\n')}`;
}

module.exports = document;
