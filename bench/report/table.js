'use strict';

// The table that the terminal shows.

const { against, spreadOf } = require('./compare');
const { number, ratio } = require('./numbers');

const HEAD = ['', 'min', 'median', 'max', 'ratio', '(min … max)'];

/**
 * @param {import('../cases').Case} benchmark
 * @param {import('../rounds').Outcome} outcome
 * @param {string[]} rivals the first is what the others are compared with
 */
function table(benchmark, outcome, rivals) {
  const [base] = rivals;
  const sections = Object.entries(benchmark.figures).map(([figure, { title, unit, better }]) => {
    const rows = rivals.map(rival => row(outcome, { rival, base, figure }));
    return `${title}${unit && unit !== '/s' ? ` in ${unit}` : ''} (${better} is better)\n${aligned([HEAD, ...rows])}`;
  });
  return `${benchmark.title}\n\n${sections.join('\n\n')}\n`;
}

function row(outcome, { rival, base, figure }) {
  const spread = spreadOf(outcome, rival, figure);
  if (!spread) return [rival, '–', '–', '–', '', ''];
  const compared = rival === base ? undefined : against(outcome, { ours: rival, theirs: base, figure });
  const ratios = compared
    ? [ratio(compared.median), `(${ratio(compared.min)} … ${ratio(compared.max)})`]
    : ['', ''];
  return [rival, number(spread.min), number(spread.median), number(spread.max), ...ratios];
}

function aligned(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)));
  return rows
    .map(row =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    )
    .map(line => `  ${line}`)
    .join('\n');
}

module.exports = { table, aligned };
