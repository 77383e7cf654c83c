'use strict';

// The hub, in the primary: a thread that is started when the first process joins.

const cluster = require('node:cluster');

const errors = require('../errors');
const native = require('../native').load();
const { BRIDGE, PRIMARY, PROTOCOL } = require('./protocol');

/** Where it is for all copies of this package that the primary has loaded: one of them has forked the workers. */
const HUB = Symbol.for('rust-cluster.hub');

/** How often a worker may join: once with each copy of this package. */
const MOST_JOINS = 16;

/** @type {WeakMap<object, number>} */
const joins = new WeakMap();

/** Who is to be told of the hub, once there is one. @type {((hub: object) => void)[]} */
const waiting = [];

/** @returns {number} a descriptor */
function join(place) {
  if (!cluster[HUB]) start();
  const { hub, protocol } = cluster[HUB];
  if (protocol !== PROTOCOL) throw errors.otherBus(PROTOCOL, protocol);
  return hub.join(place);
}

function start() {
  const hub = new native.Hub();
  Object.defineProperty(cluster, HUB, { value: { hub, protocol: PROTOCOL } });
  for (const tell of waiting.splice(0)) tell(hub);
}

/** Tells of the hub, as soon as there is one: of this copy of the package, since the other's is none to our addon. */
function whenStarted(tell) {
  const hub = cluster[HUB]?.hub;
  if (hub instanceof native.Hub) tell(hub);
  else waiting.push(tell);
}

const joinOfPrimary = joined => joinHere(PRIMARY, joined);
const joinOfBridge = joined => joinHere(BRIDGE, joined);

function joinHere(place, joined) {
  let fd;
  try {
    fd = join(place);
  } catch (error) {
    return process.nextTick(joined, error);
  }
  joined(null, fd);
}

/**
 * A worker asks for its socket.
 * @param {{ slot: number }} worker
 * @param {import('../channel/channel').Channel} channel
 * @param {{ seq: number, protocol: number }} message
 */
function joinWorker(worker, channel, message) {
  let fd = -1;
  try {
    const count = joins.get(worker) ?? 0;
    if (count >= MOST_JOINS) throw errors.joinedTooOften(MOST_JOINS);
    if (message.protocol !== PROTOCOL) throw errors.otherBus(message.protocol, PROTOCOL);
    fd = join(worker.slot);
    joins.set(worker, count + 1);
  } catch ({ message: failed, code }) {
    channel.answer(message, { failed, code });
    return;
  }
  channel.answer(message, {}, fd);
  native.close(fd);
}

module.exports = { joinOfBridge, joinOfPrimary, joinWorker, whenStarted };
