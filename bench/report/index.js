'use strict';

// docs/performance.md and the plots, from the newest results.

const { mkdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const document = require('./document');
const plots = require('./plots');
const { newest } = require('./results');

const root = path.join(__dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'performance.md');
const PLOTS = path.join(root, 'bench', 'plots');

/** The part of the page that is ours. */
const BEGIN = '<!-- results: begin (npm run bench -- report) -->';
const END = '<!-- results: end -->';

async function report() {
  const results = newest();
  mkdirSync(PLOTS, { recursive: true });
  const drawn = await plots(results);
  for (const { file, svg } of drawn) writeFileSync(path.join(PLOTS, file), svg);

  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${PAGE} lacks the lines ${BEGIN} and ${END}`);
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${document(results, drawn)}\n${END}${after}`);
  console.log(`written: ${path.relative(process.cwd(), PAGE)} and ${drawn.length} plots`);
}

module.exports = { report };
