'use strict';

// The hub, in the primary: a thread that is started when the first process joins.

const errors = require('../errors');
const native = require('../native').load();
const { PRIMARY, PROTOCOL } = require('./protocol');

let hub;

/** @returns {number} a descriptor */
function join(place) {
  hub ??= new native.Hub();
  return hub.join(place);
}

function joinOfPrimary(joined) {
  let fd;
  try {
    fd = join(PRIMARY);
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
function joinWorker({ slot }, channel, message) {
  let fd = -1;
  try {
    if (message.protocol !== PROTOCOL) throw errors.otherBus(message.protocol, PROTOCOL);
    fd = join(slot);
  } catch ({ message: failed }) {
    channel.answer(message, { failed });
    return;
  }
  channel.answer(message, {}, fd);
  native.close(fd);
}

module.exports = { joinOfPrimary, joinWorker };
