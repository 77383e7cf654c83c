'use strict';

// Writes the table of options in docs/command.md from their definition in lib/supervisor/options.js: `npm run docs`. A
// test fails where the two differ.

const fs = require('node:fs');
const path = require('node:path');
const { OWN } = require('../lib/supervisor/command_line');
const { OPTIONS, kebab, variable } = require('../lib/supervisor/options');

const OUTPUT = path.join(__dirname, '..', 'docs', 'command.md');
const TABLE = /(?<=^## Options\n\n[^|]*\n\n)\|.*?\n(?=\n)/ms;

const code = text => `\`${text.replaceAll('|', '\\|')}\``;

/** Milliseconds and bytes as one would write them. */
function written({ kind, value }) {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return '';
  if (kind === 'duration') return value === 0 || value % 1000 ? `${value}` : `${value / 1000}s`;
  if (kind === 'backoff') return '100ms,30s';
  return `${value}`;
}

function row(option) {
  const { name, short, also, argument, shown, only, help } = option;
  const flag = shown ?? `--${kebab(name)}${argument ? ` ${argument}` : ''}`;
  const names = only
    ? ''
    : [flag, ...(short ? [`-${short}`] : []), ...(also ? [`--${also}`] : [])].map(code).join(', ');
  const isOwn = OWN.includes(option);
  const inEnvironment = name === 'config' || (!only && !isOwn);
  return [
    names,
    inEnvironment ? code(variable(name)) : '',
    isOwn ? '' : code(name),
    written(option) && code(written(option)),
    help,
  ];
}

function table() {
  // Where this runs must not show.
  delete process.env.KUBERNETES_SERVICE_HOST;
  const head = [['option', 'environment', 'configuration', 'default', 'what'], Array(5).fill('---')];
  return `${[...head, ...[...OPTIONS, ...OWN].map(row)].map(cells => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

/** The whole page. */
const page = () => fs.readFileSync(OUTPUT, 'utf8').replace(TABLE, table().replaceAll('$', '$$$$'));

module.exports = { page, OUTPUT };

if (require.main === module) fs.writeFileSync(OUTPUT, page());
