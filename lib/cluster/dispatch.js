'use strict';

// The setting `dispatch`: which worker gets a connection, who says who its client is, and how many a worker may have.
// Loaded where it is set.

const path = require('node:path');

const errors = require('../errors');
const native = require('../native').load();

const POLICIES = ['least-busy', 'round-robin', 'sticky'];
const OWNERS = ['prefer', 'strict'];
const PER = ['connection', 'request'];
const PLACES = ['cookie', 'header', 'query'];

/** What becomes of a client that has waited for too long, and whether it is answered in HTTP. */
const REFUSALS = new Map([
  ['reset', false],
  [503, true],
]);

/** Nobody waits for longer, in ms. */
const LONGEST = 2 ** 31 - 1;

/** How many limits there can be: the addon's gauges. The first one is that of all ports that have none of their own. */
const MOST_LIMITS = 64;

/** What a name in a head is made of: a token of HTTP. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Each key of a port's settings: what it can be, as a sentence says it; and what it becomes, undefined if it cannot be. */
const KEYS = {
  policy: [`one of ${quoted(POLICIES)}`, value => (POLICIES.includes(value) ? value : undefined)],
  sticky: [
    `{ by, owner, per }, by: 'address', 'socket.io', or an object with one name: cookie, header or query; owner: ${quoted(OWNERS)}; per: ${quoted(PER)}, which an address has not`,
    sticky,
  ],
  proxyProtocol: [
    "an array of networks, as '10.0.0.0/8', or addresses",
    // Of an array with holes every() sees nothing, and the addon does.
    value => (Array.isArray(value) && [...value].every(isNetwork) ? value : undefined),
  ],
  maxConnections: [
    'an integer from 1 on, or Infinity',
    value =>
      (Number.isSafeInteger(value) && value >= 1) || value === Number.POSITIVE_INFINITY ? value : undefined,
  ],
  queueTimeout: [`an integer from 0 to ${LONGEST}`, milliseconds],
  refuseWith: ["'reset' or 503", value => (REFUSALS.has(value) ? value : undefined)],
  slowStart: [`an integer from 0 to ${LONGEST}`, milliseconds],
};

/** What says more about maxConnections, and is nothing without it. */
const NEEDS = { queueTimeout: 'maxConnections', refuseWith: 'queueTimeout', slowStart: 'maxConnections' };

function milliseconds(value) {
  if (Number.isInteger(value) && value >= 0 && value <= LONGEST) return value;
}

const isNetwork = value => typeof value === 'string' && native.isNetwork(value);

function sticky(value) {
  if (!isPlain(value, ['by', 'owner', 'per'])) return;
  const { by, owner = 'prefer', per = 'connection' } = value;
  if (!OWNERS.includes(owner) || !PER.includes(per)) return;
  const how = { strict: owner === 'strict', perRequest: per === 'request' };
  // The requests of a connection have one address.
  if (by === 'address') return how.perRequest ? undefined : { by, ...how };
  if (by === 'socket.io') return { by: 'slot', name: 'sid', ...how };
  if (!isPlain(by, PLACES)) return;
  const [[place, name], ...others] = Object.entries(by);
  if (others.length > 0 || typeof name !== 'string') return;
  // A query's name is what it is once it is decoded.
  if (place === 'query' ? name : TOKEN.test(name)) return { by: place, name, ...how };
}

/** Whether a value is an object with some of these keys, and no others. */
const isPlain = (value, keys) =>
  value !== null &&
  typeof value === 'object' &&
  Object.keys(value).length > 0 &&
  Object.keys(value).every(key => keys.includes(key));

function quoted(names) {
  return names.map(name => `'${name}'`).join(' or ');
}

/**
 * @param {unknown} value `dispatch`, as the user has set it
 * @returns {{ general: object, ports: Map<number | string, object> }} ports by number, sockets by path
 * @throws ERR_INVALID_ARG_VALUE
 */
function dispatchSettings(value) {
  const name = 'dispatch';
  const { ports, ...general } = typeof value === 'string' ? { policy: value } : objectOf(name, value);
  const all = { general: checked(name, general), ports: new Map() };
  const limited = new Set();
  for (const [key, settings] of Object.entries(ports === undefined ? {} : objectOf(`${name}.ports`, ports))) {
    const own = typeof settings === 'string' ? { policy: settings } : settings;
    const of = `${name}.ports.${key}`;
    const port = portOf(of, key);
    all.ports.set(port, checked(of, { ...general, ...objectOf(of, own) }));
    if (own.maxConnections !== undefined) limited.add(port);
  }
  if (limited.size >= MOST_LIMITS) {
    throw errors.badSetting(
      `${name}.ports`,
      `at most ${MOST_LIMITS - 1} with a maxConnections of their own`,
      ports,
    );
  }
  for (const [port, settings] of all.ports) settings.isLimitedAlone = limited.has(port);
  return all;
}

function objectOf(name, value) {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
  throw errors.badSetting(name, `an object, or a policy: ${quoted(POLICIES)}`, value);
}

function portOf(name, key) {
  if (!/^\d+$/.test(key)) return path.resolve(key);
  if (Number(key) <= 65535) return Number(key);
  throw errors.badSetting(name, 'named by a port, or by the path of a socket', key);
}

/** Settings of a port, each as the addon takes it. */
function checked(name, settings) {
  const dispatch = {};
  for (const [key, value] of Object.entries(settings)) {
    if (!Object.hasOwn(KEYS, key)) {
      throw errors.badSetting(`${name}.${key}`, `one of ${quoted([...Object.keys(KEYS), 'ports'])}`, value);
    }
    const [expected, normal] = KEYS[key];
    if (value === undefined) continue;
    dispatch[key] = normal(value);
    if (dispatch[key] === undefined) throw errors.badSetting(`${name}.${key}`, expected, value);
  }
  for (const [key, needed] of Object.entries(NEEDS)) {
    if (dispatch[key] !== undefined && dispatch[needed] === undefined) {
      throw errors.badSetting(`${name}.${needed}`, `set where ${key} is`, undefined);
    }
  }
  if (dispatch.policy === 'sticky' && !dispatch.sticky) {
    throw errors.badSetting(`${name}.sticky`, `${KEYS.sticky[0]}, with the policy 'sticky'`, undefined);
  }
  return dispatch;
}

/**
 * What a listener is opened with.
 * @param {unknown} value `dispatch`, as the user has set it
 * @param {{ port: number, address: string | undefined }} query
 */
function dispatchFor(value, { port, address }) {
  const { general, ports } = dispatchSettings(value);
  const place = port < 0 ? path.resolve(address) : port;
  const { policy, sticky, proxyProtocol, ...own } = ports.get(place) ?? general;
  return { policy, sticky, proxyProtocol, limit: limitOf(own, place) };
}

/** The limit of a port, as the addon takes it. */
function limitOf({ maxConnections, queueTimeout, refuseWith = 'reset', slowStart, isLimitedAlone }, place) {
  if (maxConnections === undefined || maxConnections === Number.POSITIVE_INFINITY) return;
  return {
    gauge: isLimitedAlone ? gaugeOf(place) : FIRST,
    most: maxConnections,
    wait: queueTimeout,
    answers: REFUSALS.get(refuseWith),
    slowStart,
  };
}

const FIRST = 1;

/** The gauges of ports and paths that have a limit of their own, for the life of the process: workers count on them. */
const gauges = new Map();

function gaugeOf(place) {
  if (!gauges.has(place)) gauges.set(place, FIRST + 1 + (gauges.size % (MOST_LIMITS - 1)));
  return gauges.get(place);
}

module.exports = { dispatchFor, dispatchSettings };
