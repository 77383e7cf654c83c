'use strict';

// Gives a process object its end of the channel: send(), disconnect(), connected and channel, on the
// ChildProcess of a worker and on `process` in the worker. What Node promises about them is here: which event,
// in which order, with which error.

const EventEmitter = require('node:events');
const { deprecate } = require('node:util');

const { Channel, isOwnControl, isQueueFull } = require('./channel');

// Loaded where they are used: every worker would wait for them to start.
const errors = () => require('../errors');
const handles = () => require('./handles');

/** From how many queued bytes on send() returns false, as Node's does. */
const HIGH_WATER = 128 * 1024;

const NODE = Number.parseInt(process.versions.node, 10);

const DEP0129 = ['_channel is deprecated. Use ChildProcess.channel instead.', 'DEP0129'];

const kChannel = Symbol('kChannel');

/** `process.channel` and `worker.process.channel`: whether the channel keeps the process alive. */
class Control extends EventEmitter {
  #channel;
  #refs = 0;
  #explicit = false;

  constructor(channel) {
    super();
    this.#channel = channel;
  }

  /** One more reason to stay alive, until the user has said what he wants. */
  refCounted() {
    if (++this.#refs === 1 && !this.#explicit) this.#channel.ref();
  }

  unrefCounted() {
    if (--this.#refs === 0 && !this.#explicit) {
      this.#channel.unref();
      this.emit('unref');
    }
  }

  ref() {
    this.#explicit = true;
    this.#channel.ref();
  }

  unref() {
    this.#explicit = true;
    this.#channel.unref();
  }

  hasRef() {
    return this.#channel.native.hasRef();
  }

  get fd() {
    return this.#channel.native.fd;
  }
}

/**
 * Gives `target` its end of the channel.
 * @param {import('node:child_process').ChildProcess | NodeJS.Process} target
 * @param {number} fd
 * @param {'json' | 'advanced'} serialization
 * @param {{ maxMessageSize?: number, maxQueuedBytes?: number, longestSent?: number }} [limits] what the other process may
 *   cost us, and we it
 * @returns {{ channel: Channel, control: Control }}
 */
function setupChannel(target, fd, serialization, limits) {
  const channel = new Channel(target, fd, serialization, limits);
  const control = new Control(channel);
  target.channel = control;
  Object.defineProperty(target, kChannel, { value: channel, configurable: true });
  // Node has dropped the old name of `channel` in version 25.
  if (NODE < 25) {
    Object.defineProperty(target, '_channel', {
      configurable: true,
      get: deprecate(() => target.channel, ...DEP0129),
      set: deprecate(
        value => {
          target.channel = value;
        },
        ...DEP0129,
      ),
    });
  }
  target._handleQueue = null;
  target._pendingMessage = null;
  target.connected = true;

  target.on('newListener', () => process.nextTick(() => channel.deliverUnheard()));

  target.send = function (message, handle, options, callback) {
    if (typeof handle === 'function') {
      callback = handle;
      handle = undefined;
      options = undefined;
    } else if (typeof options === 'function') {
      callback = options;
      options = undefined;
    } else if (
      options !== undefined &&
      (options === null || typeof options !== 'object' || Array.isArray(options))
    ) {
      throw errors().invalidOptions(options);
    }
    if (this.connected) return this._send(message, handle, options, callback);
    fail(this, errors().channelClosed(), callback);
    return false;
  };

  channel.ownSend = target.send;

  target._send = function (message, handle, options, callback) {
    if (message === undefined) throw errors().missingMessage();
    if (!isSendable(message)) throw errors().invalidMessage(message);
    if (message?.cmd === 'NODE_CLUSTER' && isOwnControl(message)) {
      channel.writeControl(message, -1);
      return true;
    }
    const sending = handle ? handles().send(channel, message, handle, options ?? {}) : undefined;
    try {
      const queued = sending
        ? channel.send(sending.message, sending.fd, callback)
        : channel.send(message, -1, callback);
      return queued < HIGH_WATER;
    } catch (error) {
      if (isQueueFull(error)) {
        // The worker's 'error' event tells of it.
        if (typeof callback === 'function') process.nextTick(callback, error);
        return false;
      }
      if (!isKernelError(error)) throw error;
      // An older signature: _send(message, handle, swallowErrors).
      if (options !== true && !options?.swallowErrors)
        fail(this, errors().system('write', error.code), callback);
      return false;
    } finally {
      sending?.sent();
    }
  };

  target.disconnect = function () {
    if (!this.connected) {
      this.emit('error', errors().disconnected());
      return;
    }
    this.connected = false;
    this._disconnect();
  };

  target._disconnect = function () {
    this.channel = null;
    // What was sent before is delivered: the end comes after it (compatibility: send(), then disconnect()).
    process.nextTick(() => channel.close(() => target.emit('disconnect')));
  };

  return { channel, control };
}

function isSendable(message) {
  const type = typeof message;
  return type === 'object' || type === 'string' || type === 'number' || type === 'boolean';
}

function fail(target, error, callback) {
  if (typeof callback === 'function') process.nextTick(callback, error);
  else process.nextTick(() => target.emit('error', error));
}

/** Whether an error came from a system call, and not from a message that cannot be serialised. */
function isKernelError({ code }) {
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code);
}

/** @returns {Channel | undefined} */
const channelOf = target => target[kChannel];

module.exports = { setupChannel, channelOf };
