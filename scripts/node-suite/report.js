'use strict';

const { summary } = require('./exits.js');

/** @typedef {import('./compare.js').Comparison} Comparison */

const outputLines = 25;

/** @param {Comparison} comparison */
function progress({ name, control, subject, exits, worse }, done, total) {
  const count = `[${String(done).padStart(String(total).length)}/${total}]`;
  return `${count} ${columns(name, timed(control), subject ? timed(subject) : '', exits)}${worse ? '  <' : ''}`;
}

/** @param {Comparison[]} comparisons */
function table(comparisons) {
  const width = Math.max(...comparisons.map(({ name }) => name.length));
  const row = (...cells) => columns(...cells, width);
  return [
    row('test', 'control', 'rust-cluster', 'exits'),
    ...comparisons.map(({ name, control, subject, exits }) =>
      row(name, control.status, subject?.status ?? '', exits),
    ),
  ].join('\n');
}

function columns(name, control, subject, exits, width = 60) {
  return `${name.padEnd(width)}  ${control.padEnd(12)}  ${subject.padEnd(12)}  ${exits}`;
}

function timed({ status, ms }) {
  return `${status} ${(ms / 1000).toFixed(1)} s`;
}

/** @param {Comparison[]} comparisons */
function difference(comparisons) {
  return [
    section(
      'Worse under rust-cluster',
      comparisons.filter(({ subject, worse, exits }) => subject && worse && exits !== 'differ'),
      ({ control, subject }) => `control: ${control.status}, rust-cluster: ${failure(subject)}`,
    ),
    section(
      'Other exits under rust-cluster',
      comparisons.filter(({ exits }) => exits === 'differ'),
      ({ controlExits, subject }) =>
        `control, in ${controlExits.length} runs: ${variants(controlExits)}\n` +
        `rust-cluster: ${summary(subject.exits)}\n${end(subject.output)}`,
    ),
    section(
      "Exits vary under Node's own cluster too (run again until they were those of rust-cluster)",
      comparisons.filter(({ exits }) => exits === 'varies'),
      ({ controlExits }) => `control, in ${controlExits.length} runs: ${variants(controlExits)}`,
    ),
    section(
      "Fails under Node's own cluster",
      comparisons.filter(({ control }) => control.status === 'fail'),
      ({ control, subject }) =>
        `${subject ? `rust-cluster: ${subject.status}, ` : ''}control: ${failure(control)}`,
    ),
    section(
      'Better under rust-cluster',
      comparisons.filter(({ control, subject }) => control.status === 'skip' && subject?.status === 'pass'),
      () => 'control: skip, rust-cluster: pass',
    ),
  ]
    .filter(Boolean)
    .join('\n\n');
}

function section(title, comparisons, body) {
  if (comparisons.length === 0) return '';
  const entries = comparisons.map(comparison => `\n${comparison.name}\n${indent(body(comparison))}`);
  return `== ${title}: ${comparisons.length}\n${entries.join('\n')}`;
}

function failure({ status, why, output }) {
  return status === 'fail' ? `${why}\n${end(output)}` : status;
}

function variants(exits) {
  return [...new Set(exits.map(summary))].join(' | ');
}

function end(output) {
  return output.trimEnd().split('\n').slice(-outputLines).join('\n');
}

function indent(text) {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}

/** @param {Comparison[]} comparisons */
function totals(comparisons) {
  const lines = [`control: ${count(comparisons.map(({ control }) => control))}`];
  const subjects = comparisons.flatMap(({ subject }) => subject ?? []);
  if (subjects.length > 0) {
    const number = kind => comparisons.filter(({ exits }) => exits === kind).length;
    lines.push(`rust-cluster: ${count(subjects)}`);
    lines.push(`exits: ${number('equal')} equal, ${number('varies')} vary, ${number('differ')} differ`);
  }
  return lines.join('\n');
}

function count(results) {
  const number = kind => results.filter(({ status }) => status === kind).length;
  return `${number('pass')} pass, ${number('skip')} skip, ${number('fail')} fail`;
}

module.exports = { progress, table, difference, totals };
