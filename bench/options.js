'use strict';

const { parseArgs } = require('node:util');

const cases = require('./cases');
const { anotherBuild, rivals } = require('./rivals');

/** Names in lines as long as the others. */
const names = all =>
  all
    .map(({ name }) => name)
    .join(' ')
    .replace(/(.{60,75}) /g, '$1\n  ');

const USAGE = `npm run bench -- [options] [case…]     all cases, if none is named

  ${names(cases)}

  growth            how cost grows with workers, clients and sizes: not among "all"
  report            docs/performance.md and the plots, from the newest results

  --list            the cases, and what each compares
  --rounds N        rounds of each case (7; growth: 3)
  --seconds S       length of a measurement under load (each case has its own)
  --rivals A,B      only these: ${rivals.map(({ name }) => name).join(' ')}
                    (fewer rounds, other seconds, fewer rivals: a draft, which no report uses)
  --also NAME=DIR   another checkout of this package as one more rival
  --help
`;

/** What the command line asks for. */
function parse() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      help: { type: 'boolean' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      rivals: { type: 'string' },
      also: { type: 'string', multiple: true, default: [] },
    },
  });
  const others = values.also.map(text => {
    const [name, folder] = text.split('=');
    if (!folder) throw new Error(`--also wants NAME=DIR, not ${text}`);
    return anotherBuild(name, folder);
  });
  return {
    ...values,
    names: positionals,
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    rivals: values.rivals?.split(',').map(known),
    others,
  };
}

function positive(name, text) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} wants a number above 0, not ${text}`);
  return value;
}

function known(name) {
  if (rivals.some(rival => rival.name === name)) return name;
  throw new Error(`unknown rival ${name}: ${rivals.map(rival => rival.name).join(' ')}`);
}

module.exports = { parse, USAGE };
