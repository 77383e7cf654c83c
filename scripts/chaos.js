#!/usr/bin/env node
'use strict';

// npm run test:chaos: tries to break the guarantees of docs/guarantees.md.

const os = require('node:os');
const { parseArgs } = require('node:util');
const user = require('../__test__/support/user');
const { attack, details, guarantees, isBroken, table } = require('./chaos/run');

const usage = `node scripts/chaos.js [options]

  --seed N     the seed of a run that is to be repeated
  --only TEXT  only guarantees whose file has TEXT in its name (scripts/chaos/guarantees)
  --short      a few seconds each
  --control    Node's own cluster as well, for the last column
  --root       programs run as root where this does; without it as an ordinary user, whom limits hold
  --help       this text

The exit code is 1 when a guarantee is broken.`;

async function main() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      control: { type: 'boolean', default: false },
      root: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(usage);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed ${values.seed} is no number\n\n${usage}`);
  const chosen = guarantees(values.only);
  if (chosen.length === 0) throw new Error(unknown(values.only));

  if (values.root) user.beRoot();

  console.log(
    `seed ${seed}, Node ${process.version}, ${os.type()} ${os.release()}, ${os.availableParallelism()} processors, ${user.text}`,
  );
  const rows = [];
  for (const guarantee of chosen) {
    const row = { guarantee };
    for (const way of values.control && guarantee.control !== false ? ['rust', 'node'] : ['rust']) {
      const label = `${guarantee.name} ${way}`;
      const progress = text => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${label}: ${text}`);
      row[way] = await attack(guarantee, { way, seed, short: values.short, progress });
      if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
      const { lost, tried, unit, seconds } = row[way];
      console.log(`${label}: ${lost} lost of ${tried} ${unit}, ${seconds} s\n${details(row[way])}`);
    }
    rows.push(row);
  }
  console.log(`\n${table(rows)}\n\nseed ${seed}`);
  if (rows.some(({ rust }) => isBroken(rust))) process.exitCode = 1;
}

function unknown(only) {
  const known = guarantees().map(({ name }) => `  ${name}`);
  return `no attack has '${only}' in its name; there are\n${known.join('\n')}`;
}

main()
  .catch(error => {
    console.error(error.message);
    process.exitCode = 2;
  })
  // An attack that failed may have left what waits for ever.
  .finally(() => process.exit());
