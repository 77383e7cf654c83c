'use strict';

// The options of supervise() and of the command: the one definition. The command line, the environment, the
// configuration, --help and docs/command.md are made of it, or held against it.

const path = require('node:path');
const errors = require('../errors');

const SECOND = 1000;
const UNITS = { ms: 1, s: SECOND, m: 60 * SECOND, h: 3600 * SECOND, d: 86_400 * SECOND };
const SIZES = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** setTimeout() takes no more: 24 days. */
const LONGEST = 2 ** 31 - 1;

const isCount = value => Number.isSafeInteger(value) && value >= 0;
const isText = value => typeof value === 'string' && value !== '' && !value.includes('\0');
const isPlain = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const number = text => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined);

/** Milliseconds: of a number, or of '30s'. */
function duration(value) {
  if (typeof value === 'string') {
    const [, digits, unit = 'ms'] = value.match(/^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/) ?? [];
    return digits === undefined ? undefined : duration(Math.round(Number(digits) * UNITS[unit]));
  }
  return typeof value === 'number' && value >= 0 && value <= LONGEST ? value : undefined;
}

/** Bytes: of a number, or of '512M', with or without an i and a B. */
function size(value) {
  if (typeof value === 'string') {
    const [, digits, unit] = value.toUpperCase().match(/^(\d+(?:\.\d+)?)([KMG]?)(?:I?B)?$/) ?? [];
    return digits === undefined ? undefined : size(Math.floor(Number(digits) * SIZES[unit]));
  }
  return isCount(value) ? value : undefined;
}

/** The members of an object that has these and no others, each read; undefined if one is not as it should be. */
function members(value, readers) {
  if (!isPlain(value) || Object.keys(value).some(key => !Object.hasOwn(readers, key))) return undefined;
  const read = Object.entries(readers).map(([key, reader]) => [key, reader(value[key])]);
  return read.every(([, member]) => member !== undefined) ? Object.fromEntries(read) : undefined;
}

const list = value => (Array.isArray(value) && value.every(isText) ? [...value] : undefined);
const backoff = { first: duration, most: duration };
const maxRestarts = { count: value => (isCount(value) ? value : undefined), within: duration };

/**
 * What kinds of values there are. `read` makes of a value what the supervisor works with, or undefined if it is none;
 * `text` makes a value of what stands on a command line or in the environment.
 */
const KINDS = {
  text: { expects: 'text that is not empty', read: value => (isText(value) ? value : undefined) },
  file: { expects: 'a path', read: value => (isText(value) ? value : undefined) },
  name: {
    expects: 'at most 64 letters, digits, dots, dashes and underscores, the first a letter or a digit',
    read: value => (isText(value) && /^[A-Za-z0-9][\w.-]{0,63}$/.test(value) ? value : undefined),
  },
  format: {
    expects: "'text' or 'json'",
    read: value => (['text', 'json'].includes(value) ? value : undefined),
  },
  list: { expects: 'a list of texts', read: list },
  environment: {
    expects: 'an object of texts',
    read: value =>
      isPlain(value) && Object.values(value).every(isEnvironmentValue) ? { ...value } : undefined,
  },
  boolean: {
    expects: 'true or false',
    text: text => ({ true: true, 1: true, false: false, 0: false })[text],
    read: value => (typeof value === 'boolean' ? value : undefined),
  },
  workers: {
    expects: "a number of at least 1, or 'auto'",
    text: text => (text === 'auto' ? text : number(text)),
    read: value => (value === 'auto' || (isCount(value) && value > 0) ? value : undefined),
  },
  duration: { expects: "a time: '30s', '5m', '500ms', or a number of milliseconds", read: duration },
  size: { expects: "a size: '512M', '1.5G', or a number of bytes", read: size },
  count: {
    expects: 'a number of at least 0, without a fraction',
    text: number,
    read: value => (isCount(value) ? value : undefined),
  },
  fraction: {
    expects: 'a number from 0 to 1',
    text: number,
    read: value => (typeof value === 'number' && value >= 0 && value <= 1 ? value : undefined),
  },
  codes: {
    expects: 'exit codes, from 0 to 255',
    text: text => text.split(',').map(number),
    read: value =>
      Array.isArray(value) && value.every(code => isCount(code) && code < 256) ? [...value] : undefined,
  },
  backoff: {
    expects: "{ first, most }, two times, the first the shorter one; as text '100ms,30s'",
    text: pair(',', (first, most) => ({ first, most })),
    read(value) {
      const found = members(value, backoff);
      return found && found.first <= found.most ? found : undefined;
    },
  },
  restarts: {
    expects: "{ count, within }, a number and a time; as text '30/1m'",
    text: pair('/', (count, within) => ({ count: number(count), within })),
    read: value => members(value, maxRestarts),
  },
  dispatch: {
    expects: value =>
      `a policy, 'least-busy' or 'round-robin', or what setupPrimary({ dispatch }) takes (${whyNot(value)})`,
    read: value => (whyNot(value) === undefined ? value : undefined),
  },
  sticky: {
    expects:
      "'address', 'socket.io', { cookie }, { header } or { query }; as text 'cookie:NAME', 'header:NAME' or 'query:NAME'",
    text(text) {
      const [place, ...name] = text.split(':');
      return name.length === 0 ? text : { [place]: name.join(':') };
    },
    read: by => (whyNot({ policy: 'sticky', sticky: { by } }) === undefined ? by : undefined),
  },
  telemetry: {
    expects: () => require('../telemetry/setting').EXPECTS,
    read: value => (require('../telemetry/setting').read(value) ? value : undefined),
  },
  watch: {
    expects: 'true, false or a list of paths',
    text: text => KINDS.boolean.text(text) ?? text.split(path.delimiter),
    read: value => (typeof value === 'boolean' ? value : list(value)),
  },
};

/** What is wrong with settings of cluster.setupPrimary({ dispatch }), if something is. */
function whyNot(dispatch) {
  try {
    require('../cluster/dispatch').dispatchSettings(dispatch);
  } catch ({ message }) {
    return message.split('. Received')[0];
  }
}

const expected = ({ expects }, value) => (typeof expects === 'function' ? expects(value) : expects);

function isEnvironmentValue(value) {
  return typeof value === 'string' && !value.includes('\0');
}

function pair(separator, make) {
  return text => {
    const parts = text.split(separator);
    return parts.length === 2 ? make(...parts) : undefined;
  };
}

/**
 * An option.
 * @typedef {object} Option
 * @property {string} name as in JavaScript and in the configuration
 * @property {keyof typeof KINDS} kind
 * @property {string} help
 * @property {unknown} [value] where nobody says another
 * @property {string} [short] its letter on the command line
 * @property {string} [argument] what stands for the value in --help
 * @property {'file'} [only] neither an option of the command line nor in the environment
 * @property {string} [also] as pm2 names it on the command line
 * @property {string} [shown] what --help has in its place
 * @property {'command'} [of] supervise() does not have it
 */

/** @type {Option[]} */
const OPTIONS = [
  { name: 'exec', kind: 'file', only: 'file', help: 'the program' },
  { name: 'args', kind: 'list', only: 'file', value: [], help: "the program's arguments" },
  { name: 'execArgv', kind: 'list', only: 'file', value: [], help: "Node's own options for the workers" },
  {
    name: 'cwd',
    kind: 'file',
    argument: 'DIR',
    help: 'the folder of the workers, looked up anew at each reload',
  },
  { name: 'env', kind: 'environment', only: 'file', help: 'added to the environment of the workers' },
  { name: 'envFile', kind: 'file', argument: 'FILE', help: 'a file with the same, read anew at each reload' },
  {
    name: 'name',
    kind: 'name',
    argument: 'NAME',
    help: 'what ps, reload, scale and stop call it (package.json has one, or the folder)',
  },
  {
    name: 'workers',
    kind: 'workers',
    short: 'i',
    argument: 'N|auto',
    also: 'instances',
    value: 'auto',
    help: 'how many; auto: what affinity and quotas allow, or WEB_CONCURRENCY',
  },
  {
    name: 'dispatch',
    kind: 'dispatch',
    argument: 'POLICY',
    help: 'which worker gets a connection: least-busy (the default) or round-robin',
  },
  {
    name: 'sticky',
    kind: 'sticky',
    argument: 'BY',
    help: 'who had the client, by address, socket.io, or cookie:, header: or query:NAME',
  },
  { name: 'waitReady', kind: 'boolean', value: false, help: "ready only after process.send('ready')" },
  {
    name: 'readyTimeout',
    kind: 'duration',
    argument: 'TIME',
    also: 'listen-timeout',
    value: 60 * SECOND,
    help: 'a worker that is not ready by then has failed (0: no limit)',
  },
  {
    name: 'drain',
    kind: 'duration',
    argument: 'TIME',
    value: 25 * SECOND,
    help: 'for what is under way when a worker leaves',
  },
  {
    name: 'killTimeout',
    kind: 'duration',
    argument: 'TIME',
    value: 5 * SECOND,
    help: 'after the drain, from SIGTERM to SIGKILL',
  },
  {
    name: 'shutdownDelay',
    kind: 'duration',
    argument: 'TIME',
    // Kubernetes goes on sending connections for some seconds.
    get value() {
      return process.env.KUBERNETES_SERVICE_HOST ? 5 * SECOND : 0;
    },
    help: 'go on accepting so long once told to stop (5s under Kubernetes)',
  },
  {
    name: 'backoff',
    kind: 'backoff',
    argument: 'TIME,TIME',
    value: { first: 100, most: 30 * SECOND },
    help: 'the first wait before a slot that died is filled again, and the longest',
  },
  {
    name: 'stableAfter',
    kind: 'duration',
    argument: 'TIME',
    value: 60 * SECOND,
    help: 'a worker that lived so long starts the back-off anew',
  },
  {
    name: 'maxRestarts',
    kind: 'restarts',
    argument: 'N/TIME',
    help: 'the most restarts of all slots in that time, more wait (8 a worker within 1m)',
  },
  {
    name: 'stayDown',
    kind: 'codes',
    argument: 'CODES',
    also: 'stop-exit-codes',
    value: [],
    help: 'exit codes after which a worker is not started again',
  },
  {
    name: 'maxMemory',
    kind: 'size',
    argument: 'SIZE',
    also: 'max-memory-restart',
    value: 0,
    help: 'replace a worker that uses more (0: never)',
  },
  {
    name: 'maxLifetime',
    kind: 'duration',
    argument: 'TIME',
    value: 0,
    help: 'replace a worker that is older (0: never)',
  },
  {
    name: 'maxConnections',
    kind: 'count',
    argument: 'N',
    value: 0,
    help: 'replace a worker that has had so many (0: never)',
  },
  {
    name: 'jitter',
    kind: 'fraction',
    argument: 'FRACTION',
    value: 0.1,
    help: 'by how much the limits differ from worker to worker',
  },
  {
    name: 'stuck',
    kind: 'duration',
    argument: 'TIME',
    value: 60 * SECOND,
    help: 'replace a worker whose loop has not turned for so long (0: never)',
  },
  {
    name: 'stuckReport',
    kind: 'duration',
    argument: 'TIME',
    value: 5 * SECOND,
    help: 'say by then where it is stuck',
  },
  {
    name: 'telemetry',
    kind: 'telemetry',
    argument: 'ADDRESS',
    also: 'metrics',
    shown: '--metrics, --telemetry ADDRESS',
    help: 'metrics and health over HTTP, at 127.0.0.1:9464, a port, or a path',
  },
  { name: 'watch', kind: 'watch', value: false, help: 'reload when a file changes: for development' },
  {
    name: 'logFormat',
    kind: 'format',
    argument: 'text|json',
    of: 'command',
    value: 'text',
    help: 'lines for people, or objects',
  },
  {
    name: 'control',
    kind: 'boolean',
    shown: '--no-control',
    of: 'command',
    value: true,
    help: 'no socket for ps, reload, scale and stop',
  },
];

const BY_NAME = new Map(OPTIONS.map(option => [option.name, option]));

/** readyTimeout becomes ready-timeout, READY_TIMEOUT */
const kebab = name => name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
const variable = name => `RUST_CLUSTER_${kebab(name).replaceAll('-', '_').toUpperCase()}`;

/**
 * A value as it stands in a command line or the environment.
 * @param {string} where what an error names: `--drain`, `RUST_CLUSTER_DRAIN`
 */
function fromText({ kind }, text, where) {
  const { read, text: parse = given => given } = KINDS[kind];
  const given = parse(text);
  if (read(given) === undefined) throw errors.badOption(where, expected(KINDS[kind], given), text);
  return given;
}

/**
 * Options as they were given, each looked at and in the supervisor's units.
 * @param {unknown} given
 * @param {string} where what an error says that they are of
 */
function checkGiven(given, where) {
  if (!isPlain(given)) throw errors.badOption(where, 'an object', given);
  const checked = {};
  for (const [name, value] of Object.entries(given)) {
    const option = BY_NAME.get(name);
    if (!option) throw errors.unknownOption(name, where, nearest(name, BY_NAME.keys()));
    if (value === undefined) continue;
    checked[name] = KINDS[option.kind].read(value);
    if (checked[name] === undefined)
      throw errors.badOption(`${name} of ${where}`, expected(KINDS[option.kind], value), value);
  }
  return checked;
}

/** The defaults of what is not given. */
function withDefaults(given) {
  const defaults = OPTIONS.filter(({ value }) => value !== undefined).map(({ name, value }) => [name, value]);
  return { ...Object.fromEntries(defaults), ...given };
}

/** The options of supervise(): each looked at, in the supervisor's units, and with the defaults. */
function check(given, where = 'supervise()') {
  const { logFormat, control, ...options } = withDefaults(checkGiven(given, where));
  const foreign = OPTIONS.find(({ name, of }) => of === 'command' && Object.hasOwn(given, name));
  if (foreign) throw errors.unknownOption(foreign.name, where);
  return options;
}

/** The name that somebody may have meant; undefined where none is near. */
function nearest(name, names) {
  const wanted = name.toLowerCase();
  const [best] = [...names]
    .map(known => ({ known, distance: distance(wanted, known.toLowerCase()) }))
    .sort((one, other) => one.distance - other.distance);
  return best && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.known : undefined;
}

/** How many letters are to be changed, added, taken out, or swapped with the next. */
function distance(one, other) {
  const rows = [Array.from({ length: other.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      row.push(Math.min(rows[i - 1][j - 1] + (isSame ? 0 : 1), rows[i - 1][j] + 1, row[j - 1] + 1));
      if (isSwapped) row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[one.length][other.length];
}

module.exports = { OPTIONS, check, checkGiven, withDefaults, fromText, kebab, variable, nearest };
