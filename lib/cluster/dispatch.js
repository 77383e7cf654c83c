'use strict';

// The setting `dispatch`: which worker gets a connection, and who says who its client is. Loaded where it is set.

const path = require('node:path');

const errors = require('../errors');
const native = require('../native').load();

const POLICIES = ['least-busy', 'round-robin', 'sticky'];
const OWNERS = ['prefer', 'strict'];
const PER = ['connection', 'request'];
const PLACES = ['cookie', 'header', 'query'];

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
};

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
  for (const [key, settings] of Object.entries(ports === undefined ? {} : objectOf(`${name}.ports`, ports))) {
    const own = typeof settings === 'string' ? { policy: settings } : settings;
    const of = `${name}.ports.${key}`;
    all.ports.set(portOf(of, key), checked(of, { ...general, ...objectOf(of, own) }));
  }
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
  return ports.get(port < 0 ? path.resolve(address) : port) ?? general;
}

module.exports = { dispatchFor, dispatchSettings };
