'use strict';

// Draws what `tests/simulation` finds: policies beside each other. Needs cargo; nothing is measured.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { number } = require('./report/numbers');
const { picture, scale } = require('./plot/picture');

const OUTPUT = path.join(__dirname, 'plots', 'policies.svg');

/** On a light page and on a dark one. */
const COLOURS = {
  random: ['#d0d7de', '#484f58'],
  'round-robin': ['#818b98', '#9198a1'],
  'power-of-two-choices': ['#54aeff', '#388bfd'],
  'least-connections': ['#8250df', '#a371f7'],
  'rust-cluster': ['#e16f24', '#f0883e'],
  optimum: ['#1a7f37', '#3fb950'],
};

function simulate() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'simulation-'));
  const file = path.join(folder, 'found');
  execFileSync('cargo', ['test', '-q', '--release', '--locked', '--test', 'simulation', 'the_plot'], {
    cwd: path.join(__dirname, '..'),
    env: { ...process.env, SIMULATION: file },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
  fs.rmSync(folder, { recursive: true });
  return lines.map(line => JSON.parse(line));
}

const nameOf = policy => policy.replaceAll(' ', '-');

function chart(Plot, document, workers, rows) {
  // What is nothing has no place on such an axis.
  const shown = rows.filter(row => row.workers === workers && row.p99 >= 0.1);
  const marks = { x: 'load', y: 'p99', z: 'policy' };
  const colour = row => nameOf(row.policy);
  return Plot.plot({
    document,
    width: 400,
    height: 300,
    marginTop: 44,
    marginLeft: 56,
    marginBottom: 44,
    x: {
      ticks: [0.1, 0.3, 0.5, 0.7, 0.9],
      tickFormat: '.0%',
      tickSize: 0,
      label: 'load',
      labelArrow: 'none',
    },
    y: { type: 'log', ticks: 4, tickFormat: number, tickSize: 0, label: null, grid: true, nice: true },
    color: scale(COLOURS),
    marks: [
      Plot.text([`${workers} workers: p99 of the wait, ms`], {
        frameAnchor: 'top-left',
        dx: -46,
        dy: -30,
        opacity: 0.7,
      }),
      Plot.line(shown, { ...marks, stroke: colour, strokeWidth: 2 }),
      Plot.dot(shown, { ...marks, fill: colour, r: 3 }),
    ],
  });
}

async function main() {
  const rows = simulate();
  const charts = [16, 1000].map(workers => (Plot, document) => chart(Plot, document, workers, rows));
  const legend = Object.keys(COLOURS).map(name => ({
    name,
    title: name.replaceAll('-', ' ').replace('rust cluster', 'rust-cluster'),
  }));
  const title = 'How long connections wait whose work is Pareto (1 to 500 ms), by policy';
  fs.writeFileSync(OUTPUT, await picture(title, charts, { columns: 2, legend, colours: COLOURS }));
  for (const { workers, load, policy, p50, p99 } of rows)
    console.log(`${workers} workers, load ${load}, ${policy}: p50 ${number(p50)} ms, p99 ${number(p99)} ms`);
}

main();
