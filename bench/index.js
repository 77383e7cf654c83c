'use strict';

// npm run bench: rust-cluster and Node's own cluster, side by side.

const cases = require('./cases');
const growth = require('./growth');
const run = require('./run');
const { parse, USAGE } = require('./options');
const { report } = require('./report');

async function main() {
  const options = parse();
  if (options.help) return console.log(USAGE);
  if (options.list) return list();
  if (options.names.includes('report')) return report();
  const all = options.names.length === 0;
  const chosen = all ? cases : options.names.flatMap(find);
  const { draft } = await run(chosen, options, all ? 'all' : options.names.join('-'));
  if (!draft) await report();
}

function list() {
  for (const { name, title, rivals } of [...cases, ...growth]) {
    console.log(`${name.padEnd(15)} ${title}\n${' '.repeat(16)}${rivals.join(', ')}`);
  }
}

function find(name) {
  if (name === 'growth') return growth;
  const found = [...cases, ...growth].find(benchmark => benchmark.name === name);
  if (!found) throw new Error(`no case '${name}': npm run bench -- --list`);
  return found;
}

main().catch(error => {
  console.error(error.message);
  process.exitCode = 1;
});
