'use strict';

// What rust-cluster promises, a row a promise.

const { against, spreadOf } = require('./report/compare');
const { number, ratio } = require('./report/numbers');

/**
 * @typedef {object} Target
 * @property {string} title
 * @property {string} case
 * @property {string} figure
 * @property {'ratio' | 'difference' | 'value'} kind what is promised: n times Node's, n more than Node's, or n
 * @property {'higher' | 'lower'} better
 * @property {string} [against] the rival it is compared with
 * @property {(nodeMajor: number) => number} ship must hold
 * @property {number} [aim] what to work towards
 * @property {string} [shipText] where it depends on the version
 */

const NODE = 'node-rr';
const OURS = 'rust-rr';

/** The first major version of Node whose own channel writes 'advanced' messages natively. */
const NATIVE_ADVANCED = 26;

const target = values => ({ kind: 'ratio', against: NODE, ...values, ship: asFunction(values.ship) });
const asFunction = ship => (typeof ship === 'function' ? ship : () => ship);

const eachWay = (serialization, label, values) =>
  Object.entries({ toPrimary: 'worker → primary', toWorker: 'primary → worker' }).map(([direction, arrow]) =>
    target({
      title: `messages/s, ${label}, '${serialization}', ${arrow}`,
      case: 'messages',
      figure: `${serialization}, ${label}, ${direction}`,
      better: 'higher',
      ...values,
    }),
  );

const connections = values => target({ case: 'connections', ...values });
const faster = { figure: 'perSecond', better: 'higher' };

/** @type {Target[]} */
const targets = [
  connections({
    title: 'short connections/s, round robin, 2 workers, 64 clients',
    ...faster,
    ship: 1.6,
    aim: 2,
  }),
  connections({ title: 'the same', ...faster, against: 'node-none', ship: 0.88, aim: 1 }),
  connections({
    title: 'CPU in the primary per connection',
    figure: 'primaryCpu',
    better: 'lower',
    ship: 1 / 4,
    aim: 1 / 10,
  }),
  connections({ title: 'p99 of the above', figure: 'p99', better: 'lower', ship: 0.7, aim: 0.5 }),
  target({ title: 'keep-alive requests/s', case: 'keepalive', ...faster, ship: 0.98, aim: 1 }),
  ...eachWay('json', '64 B', { ship: 4, aim: 10 }),
  ...eachWay('advanced', '64 B', {
    ship: major => (major >= NATIVE_ADVANCED ? 1 : 3),
    shipText: `≥ 3×, ≥ 1× on ${NATIVE_ADVANCED}`,
    aim: 5,
  }),
  ...eachWay('json', '10 kB', { ship: 3, aim: 5 }),
  ...eachWay('json', '1 MB', { ship: 3, aim: 5 }),
  target({
    title: 'round trip of one small message, idle',
    case: 'round-trip',
    figure: 'median',
    better: 'lower',
    ship: 1,
    aim: 0.7,
  }),
  ...[8, 32].map(workers =>
    target({
      title: `fork of ${workers} workers until all listen`,
      case: 'fork',
      figure: `${workers}`,
      better: 'lower',
      ship: 1.05,
      aim: 0.8,
    }),
  ),
  ...Object.entries({ worker: 'resident memory a worker', primary: 'resident memory of the primary' }).map(
    ([figure, title]) =>
      target({ title, case: 'memory', figure, better: 'lower', kind: 'difference', ship: 2, aim: 0 }),
  ),
  // At rest it is one at most, which tests see to; under load who takes quicker gets more.
  target({
    title: 'spread of new connections over 8 workers, 32 clients',
    case: 'spread',
    figure: 'difference',
    better: 'lower',
    ship: 1,
  }),
  target({
    title: 'system calls per connection in the primary (strace -c)',
    case: 'syscalls',
    figure: 'connection',
    better: 'lower',
    kind: 'value',
    ship: 4,
    aim: 3,
  }),
];

/**
 * Where a target stands.
 * @param {Target} target
 * @param {Record<string, import('./rounds').Outcome>} cases
 * @param {number} nodeMajor
 * @returns {{ measured: import('./measure/statistics').Summary, verdict: 'aim' | 'ship' | 'missed' } | undefined}
 *   undefined: not measured
 */
function judge(target, cases, nodeMajor) {
  const outcome = cases[target.case];
  const measured = outcome && measure(target, outcome);
  if (!measured) return undefined;
  const { median } = measured;
  const reached = limit => (target.better === 'higher' ? median >= limit : median <= limit);
  const ship = target.ship(nodeMajor);
  if (reached(target.aim ?? ship)) return { measured, verdict: 'aim' };
  return { measured, verdict: reached(ship) ? 'ship' : 'missed' };
}

function measure({ kind, figure, against: theirs }, outcome) {
  return kind === 'value'
    ? spreadOf(outcome, OURS, figure)
    : against(outcome, { ours: OURS, theirs, figure, kind });
}

/** A measured value as a person reads it. */
function describe({ kind }, value) {
  if (kind === 'ratio') return ratio(value);
  if (kind === 'value') return number(value);
  // The only differences that are promised are of memory.
  return `${value < 0 ? '−' : '+'} ${number(Math.abs(value))} MB`;
}

/** As `describe`, without digits that say nothing. */
const describeLimit = (target, value) =>
  target.kind === 'ratio' ? `${number(value)}×` : describe(target, value);

module.exports = { targets, judge, describe, describeLimit };
