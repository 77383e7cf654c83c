'use strict';

// rust-cluster [options] app.js [its arguments]: what the command line says. What is not ours and stands before the
// program is Node's, and for the workers; what follows the program is the program's.

const { spawnSync } = require('node:child_process');
const { parseArgs } = require('node:util');
const errors = require('../errors');
const { OPTIONS, fromText, kebab, nearest } = require('./options');

/** What only the command has. */
const OWN = [
  {
    name: 'config',
    kind: 'file',
    argument: 'FILE',
    help: 'the configuration (rust-cluster.config.js, .mjs or .json)',
  },
  {
    name: 'watch-path',
    argument: 'PATH',
    help: 'watch this, and not all that the program has loaded; more than once',
  },
  { name: 'json', kind: 'boolean', help: 'the answer of ps, top, reload, scale and stop as JSON' },
  { name: 'check', kind: 'boolean', help: 'look at the options, the configuration and the program, and end' },
  { name: 'help', kind: 'boolean', short: 'h', help: 'this text' },
  { name: 'version', kind: 'boolean', short: 'v', help: 'the versions of rust-cluster and Node' },
];

const COMMANDS = ['ps', 'top', 'reload', 'scale', 'stop'];

/** All that stands on a command line, by its name there. */
const KNOWN = new Map(
  [...OPTIONS.filter(({ only }) => !only).map(option => ({ ...option, option })), ...OWN].flatMap(entry => {
    const name = kebab(entry.name);
    const flag = { ...entry, name, isFlag: entry.kind === 'boolean' || entry.kind === 'watch' };
    return entry.also ? [name, entry.also].map(known => [known, flag]) : [[name, flag]];
  }),
);

/**
 * All that Node and V8 have for options, and which of Node's take the next word: as this Node says. It is asked only if
 * a command line has more than ours.
 */
function nodeOptions() {
  const ask = option => spawnSync(process.execPath, [option], { encoding: 'utf8', env: {} }).stdout ?? '';
  const withValue = new Set();
  const all = new Set();
  for (const [, line] of ask('--help').matchAll(/^ {2}(-.*?)(?: {2}.*)?$/gm)) {
    const names = line.split(', ').map(word => word.match(/^--?[\w.-]+/)?.[0] ?? '');
    for (const name of names) {
      all.add(name);
      if (line.includes('=') && !line.includes('[=')) withValue.add(name);
    }
  }
  const v8 = ask('--v8-options').matchAll(/^ {2}(--[\w-]+) /gm);
  for (const [, name] of [...ask('--completion-bash').matchAll(/(?<=\s)(--?[\w.-]+)/g), ...v8]) all.add(name);
  return { withValue, all };
}

/** @param {string[]} words */
function tokensOf(words, nodeNames) {
  const options = {};
  for (const [name, { isFlag, short }] of KNOWN) {
    // pm2's name of an option has no letter of its own.
    const letter = KNOWN.get(name).name === name && short;
    options[name] = { type: isFlag ? 'boolean' : 'string', ...(letter && { short }) };
  }
  for (const name of nodeNames) {
    const known = name.replace(/^--?/, '');
    if (name.startsWith('--')) options[known] ??= { type: 'string' };
    else options[`node${name}`] ??= { type: 'string', short: known };
  }
  const { tokens } = parseArgs({ args: words, options, strict: false, tokens: true, allowPositionals: true });
  return tokens;
}

/**
 * @param {string[]} words those after `rust-cluster`
 * @returns {{ command: string, given: Record<string, unknown>, own: Record<string, any>, rest: string[] }} `command` is
 * 'run', or one of the others; `given` are options of the supervisor
 */
function parse(words) {
  let node = { withValue: new Set(), all: new Set() };
  let tokens = before(tokensOf(words, []));
  if (tokens.some(({ kind, name }) => kind === 'option' && !known(name))) {
    node = nodeOptions();
    tokens = before(tokensOf(words, node.withValue));
  }
  const parsed = { command: 'run', given: {}, own: {}, rest: [] };
  const execArgv = [];
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    if (known(token.name)) take(token, parsed);
    else execArgv.push(...takeOfNode(token, node));
  }
  const end = tokens.at(-1);
  // After `--` everything is the program's and its arguments'.
  const isEnd = end && end.kind !== 'option';
  const program = isEnd ? words.slice(end.kind === 'positional' ? end.index : end.index + 1) : [];
  if (execArgv.length > 0) parsed.given.execArgv = execArgv;
  if (COMMANDS.includes(program[0]) && end.kind === 'positional')
    return command(parsed, words.slice(end.index));
  if (program.length > 0) {
    parsed.given.exec = program[0];
    parsed.given.args = program.slice(1);
  }
  return parsed;
}

/** The tokens up to the program. */
function before(tokens) {
  const end = tokens.findIndex(({ kind }) => kind !== 'option');
  return end === -1 ? tokens : tokens.slice(0, end + 1);
}

const known = name => KNOWN.get(name) ?? KNOWN.get(name.replace(/^no-/, ''));

/** Takes an option of ours. */
function take({ name, rawName, value }, { given, own }) {
  const entry = KNOWN.get(name);
  if (!entry) {
    const negated = known(name);
    if (!negated.isFlag || value !== undefined) throw errors.unknownOption(rawName, 'the command line');
    (negated.option ? given : own)[negated.option?.name ?? negated.name] = false;
    return;
  }
  if (entry.isFlag && value !== undefined) throw errors.badOption(rawName, 'without a value', value);
  if (!entry.isFlag && (value === undefined || value === ''))
    throw errors.badOption(rawName, 'followed by a value', '');
  if (entry.name === 'watch-path') {
    given.watch = [...(Array.isArray(given.watch) ? given.watch : []), value];
  } else if (entry.name === 'watch') {
    given.watch ??= true;
  } else {
    const text = PM2[`${rawName} ${value}`] ?? value;
    (entry.option ? given : own)[entry.option?.name ?? entry.name] =
      entry.isFlag || fromText(entry, text, rawName);
  }
}

/** What pm2 says of all processors. */
const PM2 = Object.fromEntries(
  ['-i', '--instances'].flatMap(name => ['max', '0'].map(value => [`${name} ${value}`, 'auto'])),
);

/** @returns {string[]} an option of Node, as it stood there */
function takeOfNode({ name, rawName, value, inlineValue }, { withValue, all }) {
  const flag = rawName.startsWith('--') ? `--${name}` : rawName;
  const plain = flag.replace(/^--no-/, '--');
  const isNodes = [flag, plain].some(
    found =>
      all.has(found) || all.has(found.replaceAll('_', '-')) || process.allowedNodeEnvironmentFlags.has(found),
  );
  if (!isNodes) throw errors.unknownOption(rawName, 'the command line', near(rawName, all));
  if (ALONE.has(flag)) throw errors.badOption(rawName, 'left out: the workers run a program', undefined);
  if (value === undefined && withValue.has(flag)) throw errors.badOption(rawName, 'followed by a value', '');
  return inlineValue ? [`${rawName}=${value}`] : value === undefined ? [rawName] : [rawName, value];
}

/** What makes another program of Node than one that runs a file. */
const ALONE = new Set(
  [
    '-e',
    '--eval',
    '-p',
    '--print',
    '-c',
    '-i',
    '--interactive',
    '--test',
    '--run',
    '--watch',
    '--v8-options',
  ].concat(['--completion-bash', '--prof-process', '--build-snapshot', '--build-sea']),
);

function near(rawName, ofNode) {
  const name = rawName.replace(/^-+/, '');
  const found =
    nearest(name, KNOWN.keys()) ??
    nearest(
      name,
      [...ofNode].map(flag => flag.replace(/^-+/, '')),
    );
  return found && `--${found}`;
}

/** `rust-cluster scale +1 --name app`: options may follow a command's name, which has no program. */
function command(parsed, [name, ...words]) {
  const { given, own } = parsed;
  const operands = [];
  for (const token of tokensOf(words.map(asOperand), [])) {
    if (token.kind === 'positional') operands.push(token.value.replace(/^\0/, ''));
    else if (token.kind === 'option' && known(token.name)) take(token, parsed);
    else if (token.kind === 'option')
      throw errors.unknownOption(token.rawName, 'the command line', near(token.rawName, []));
  }
  const taken = name === 'top' ? ['name', 'cwd', 'telemetry'] : ['name', 'cwd'];
  for (const option of Object.keys(given)) {
    if (!taken.includes(option)) throw errors.unknownOption(`--${kebab(option)}`, `rust-cluster ${name}`);
  }
  const most = name === 'scale' ? 1 : 0;
  if (name === 'scale') checkScale(operands[0]);
  if (operands.length > most + 1)
    throw errors.badOption(`rust-cluster ${name}`, USAGE[name], operands.join(' '));
  if (operands.length > most) given.name = fromText({ kind: 'name' }, operands[most], 'NAME');
  return { command: name, given, own, rest: operands.slice(0, most) };
}

/** -1 is a number there, and no option. */
const asOperand = word => (/^-\d+$/.test(word) ? `\0${word}` : word);

const USAGE = {
  ps: 'followed by a name, or by nothing',
  top: 'followed by a name, or by nothing',
  reload: 'followed by a name, or by nothing',
  stop: 'followed by a name, or by nothing',
  scale: 'followed by a number (3), or by how many more (+1) or fewer (-1), and perhaps a name',
};

function checkScale(text = '') {
  if (!/^(\+|-)?\d{1,6}$/.test(text)) throw errors.badOption('rust-cluster scale', USAGE.scale, text);
}

/** The text of --help. */
function help() {
  const entries = [...OPTIONS.filter(({ only }) => !only), ...OWN];
  const lines = entries.map(({ name, short, argument, shown, help: text }) => {
    const flag = shown ?? `${short ? `-${short}, ` : ''}--${kebab(name)}${argument ? ` ${argument}` : ''}`;
    return `  ${flag.padEnd(30)} ${text}`;
  });
  return [
    "rust-cluster [options] [Node's options] app.js [its arguments]",
    'rust-cluster ps | top | reload | stop [NAME]',
    'rust-cluster scale N|+N|-N [NAME]',
    '',
    ...lines,
    '',
    'A time is 500ms, 30s, 5m or 2h; a size 512M or 2G. Each option may stand in the environment',
    '(RUST_CLUSTER_READY_TIMEOUT=30s), in rust-cluster.config.js, .mjs or .json, and in package.json under',
    '"rust-cluster" (readyTimeout), in that order. All of it: docs/command.md',
  ].join('\n');
}

module.exports = { parse, help, KNOWN, COMMANDS, OWN };
