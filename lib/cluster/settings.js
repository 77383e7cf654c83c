'use strict';

// The settings of setupPrimary(): those that Node's cluster does not have, what they can be and what they become; and
// which others a worker is started with.

const { constants: limits } = require('node:buffer');
const { signals } = require('node:os').constants;

const errors = require('../errors');

/** The cluster's own messages have room in it. */
const SMALLEST_MESSAGE = 4096;

/** send() returns false from there on: who heeds that is never ended. */
const SMALLEST_QUEUE = 128 * 1024;

/**
 * @param {object} settings as the user has set them
 * @returns {{ maxMessageSize?: number, maxQueuedBytes?: number, parentDeathSignal?: number }}
 * @throws ERR_INVALID_ARG_VALUE, ERR_UNKNOWN_SIGNAL
 */
function ownSettings({ maxMessageSize, maxQueuedBytes, parentDeathSignal, dispatch, telemetry }) {
  if (dispatch !== undefined) require('./dispatch').dispatchSettings(dispatch);
  if (telemetry !== undefined) require('../telemetry/setting').telemetrySetting(telemetry);
  return {
    maxMessageSize: bytes('maxMessageSize', maxMessageSize, SMALLEST_MESSAGE, limits.MAX_STRING_LENGTH),
    maxQueuedBytes: bytes('maxQueuedBytes', maxQueuedBytes, SMALLEST_QUEUE, Number.MAX_SAFE_INTEGER),
    parentDeathSignal: signalNumber(parentDeathSignal),
  };
}

function bytes(name, value, least, most) {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return value;
  throw errors.badSetting(name, `an integer from ${least} to ${most}`, value);
}

function signalNumber(signal) {
  if (signal === undefined || Object.values(signals).includes(signal)) return signal;
  if (Object.hasOwn(signals, signal)) return signals[signal];
  throw errors.unknownSignal(signal);
}

/**
 * What Node's cluster hands on to child_process.fork(). Programs pass whole configuration objects to setupPrimary():
 * what else is in them means nothing to a worker.
 */
const forkOptions = ({ cwd, serialization, silent, windowsHide, stdio, gid, uid }) => ({
  cwd,
  serialization,
  silent,
  windowsHide,
  stdio,
  gid,
  uid,
});

module.exports = { forkOptions, ownSettings };
