'use strict';

// Writes docs/differences.md from __test__/support/behaviours.js: `npm run docs`. A test fails where the two differ.

const fs = require('node:fs');
const path = require('node:path');
const behaviours = require('../__test__/support/behaviours');

const OUTPUT = path.join(__dirname, '..', 'docs', 'differences.md');

const HEAD = `# What differs from Node's own cluster

All of it, on purpose, and nothing else that we know of. Our tests run every program on both clusters, and this list is
the only place where they may expect something else of the two: \`npm run docs\` writes this page from
[\`__test__/support/behaviours.js\`](../__test__/support/behaviours.js).`;

/** The whole page. */
function page() {
  const rows = Object.values(behaviours);
  const groups = [...new Set(rows.map(({ group }) => group))];
  const parts = groups.map(name => `## ${name}\n\n${table(rows.filter(({ group }) => group === name))}`);
  return `${[HEAD, ...parts].join('\n\n')}\n`;
}

function table(rows) {
  const lines = rows.map(({ when, node, ours, why }) => [when, node, ours, why]);
  const all = [['', "Node's cluster", 'rust-cluster', 'why'], ['---', '---', '---', '---'], ...lines];
  return all.map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

module.exports = { page, OUTPUT };

if (require.main === module) fs.writeFileSync(OUTPUT, page());
