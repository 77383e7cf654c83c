'use strict';

// The JavaScript side of the channel: send(), 'message', disconnect() and channel on the ChildProcess of a
// worker, and on `process` in the worker. Framing, joining and writing are Rust's (src/node/channel.rs); here
// is what Node promises about them: which event, in which order, with which error.

const EventEmitter = require('node:events');
const { constants } = require('node:os');

const errors = require('./errors');
const handles = require('./handles');
const native = require('./native').load();
const { serialize, deserialize, isJson } = require('./serialization');

/** Kinds of what `Channel.read` returns: see src/frame.rs and src/node/channel.rs. */
const JSON_TEXT = 1;
const ADVANCED = 2;
const CONTROL = 3;
const NOTHING = 0;
const END = -1;
const STARVED = -2;

/** From how many queued bytes on send() returns false, as Node's does. */
const HIGH_WATER = 128 * 1024;

/** How long a process without a free descriptor waits before it tries again to receive one, in ms. */
const STARVED_PAUSE = 100;

const kChannel = Symbol('kChannel');

/** `process.channel` and `worker.process.channel`. */
class Control extends EventEmitter {
  #channel;
  #refs = 0;
  #explicit = false;

  /** Messages that came while nobody listened. */
  pending = [];

  constructor(channel) {
    super();
    this.#channel = channel;
    Object.defineProperty(this, 'pending', { enumerable: false });
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
    return this.#channel.hasRef();
  }

  /** Lets the loop end, until somebody listens: what a worker's channel does at first. */
  start() {
    this.#channel.unref();
  }

  get fd() {
    return this.#channel.fd;
  }
}

/** The cluster's own messages on their way through a send() that a program has wrapped. */
const controlMessages = new WeakSet();

/** What one end of the channel needs besides the methods that users see. */
class Channel {
  /** Called with each of the cluster's own messages and its descriptor (-1: none). */
  oncontrol = () => {};
  /** Called when the other process broke the protocol. */
  onbroken = () => {};
  /** Sockets sent and received, by the server they came from: see ./socket_list. */
  sockets = { send: new Map(), got: new Map() };

  constructor(target, fd, serialization) {
    this.target = target;
    this.advanced = serialization === 'advanced';
    this.native = new native.Channel(
      fd,
      () => this.#receive(),
      () => this.#written(),
    );
    this.control = new Control(this.native);
  }

  /** Callbacks of messages that are not in the kernel yet: [position in the stream, callback]. */
  #unwritten = [];
  /** The messages that were read last, where we are in them, and the descriptor that came along. */
  #batch = [];
  #place = 0;
  #kind = NOTHING;
  #fd = -1;
  /** Whether a received handle is being adopted: what comes after it waits. */
  #adopting = false;
  #closed = false;
  #lingers = false;

  /** Sends one of the cluster's own messages: through send(), if a program has wrapped that, as Node does. */
  sendControl(message, fd = -1) {
    const { target } = this;
    if (fd < 0 && target.send !== this.ownSend) {
      const wrapped = { cmd: 'NODE_CLUSTER', ...message };
      controlMessages.add(wrapped);
      target.send(wrapped);
    } else {
      this.writeControl(message, fd);
    }
  }

  writeControl(message, fd) {
    try {
      this.native.sendJson(CONTROL, JSON.stringify(message), fd);
    } catch {
      // The other process is gone; the end of the channel says so to all.
    }
  }

  /**
   * Queues a message.
   * @returns {number} bytes that wait
   * @throws what cannot be serialised, EPIPE, EMFILE
   */
  send(message, fd, callback) {
    let queued =
      this.advanced && !isJson(message)
        ? this.native.sendAdvanced(serialize(message), fd)
        : this.native.sendJson(JSON_TEXT, JSON.stringify(message) ?? 'null', fd);
    if (typeof callback === 'function') {
      if (queued > 0) queued = this.native.flush();
      if (queued > 0) this.#unwritten.push([this.native.written + queued, callback]);
      else process.nextTick(callback, null);
    }
    return queued;
  }

  /** The kernel took something. */
  #written() {
    const { written } = this.native;
    const left = this.#unwritten.findIndex(([position]) => position > written);
    const done = this.#unwritten.splice(0, left < 0 ? this.#unwritten.length : left);
    if (this.#lingers && this.native.queued === 0) this.native.close();
    for (const [, callback] of done) process.nextTick(callback, null);
  }

  /** Delivers what has arrived, in order. What a listener throws ends this call, and the rest follows. */
  #receive() {
    let done = false;
    try {
      while (!this.#adopting && !this.#closed && this.#next()) {}
      done = true;
    } finally {
      if (!done) process.nextTick(() => this.#receive());
    }
  }

  /** Delivers the next message; false: there is none for now, or ever. */
  #next() {
    if (this.#place === this.#batch.length) return this.#read();
    const message = this.#batch[this.#place++];
    if (this.#kind === CONTROL) this.#deliverControl(message, this.#takeFd());
    else if (this.#fd >= 0) this.#adopt(message, this.#takeFd());
    else this.#deliver(message, undefined);
    return true;
  }

  /** Takes the next messages out of the socket; false: there are none for now, or ever. */
  #read() {
    try {
      const { kind, json, buffers, fd } = this.native.read();
      if (kind === END) this.#end();
      else if (kind === STARVED)
        setTimeout(() => this.#closed || this.native.resume(), STARVED_PAUSE).unref();
      if (kind === NOTHING || kind === END || kind === STARVED) return false;
      this.#fd = fd;
      this.#kind = kind;
      this.#batch = kind === ADVANCED ? buffers.map(deserialize) : JSON.parse(json);
      this.#place = 0;
      return true;
    } catch (error) {
      // The other process does not speak our protocol. What else it sends is not read.
      if (this.#fd >= 0) native.close(this.#takeFd());
      this.#end();
      this.onbroken(typeof error.code === 'string' ? error : errors.badMessage(error));
      return false;
    }
  }

  #takeFd() {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  /** Makes a handle of a received descriptor, and delivers its message with it. */
  #adopt(message, fd) {
    this.#adopting = true;
    handles.receive(this, message, fd, handle => {
      this.#adopting = false;
      this.#deliver(message?.msg, handle);
      // What arrived in the meantime.
      this.drain();
    });
  }

  /** The cluster's own messages are events too, for those who listen to them, as Node's are. */
  #deliverControl(message, fd) {
    const { target } = this;
    if (target.listenerCount('internalMessage') > 0) {
      target.emit('internalMessage', { cmd: 'NODE_CLUSTER', ...message }, undefined);
    }
    this.oncontrol(message, fd);
  }

  #deliver(message, handle) {
    const { target } = this;
    const event = isInternal(message) ? 'internalMessage' : 'message';
    if (event === 'internalMessage' || target.listenerCount('message') > 0) {
      target.emit(event, message, handle);
    } else {
      this.control.pending.push([event, message, handle]);
    }
  }

  /** Delivers all that has arrived, without waiting for the loop. */
  drain() {
    if (this.#closed) return;
    this.native.drain();
    this.#receive();
  }

  /** The other process has closed its end. */
  #end() {
    if (this.#closed) return;
    const { target } = this;
    if (target.connected) target.disconnect();
    this.close();
    target._closesNeeded !== undefined && closed(target);
  }

  /** Closes our end, once what waits is written. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    let queued = 0;
    try {
      queued = this.native.flush();
    } catch {
      // The other process is gone, and what waited with it.
    }
    this.#lingers = queued > 0;
    if (this.#lingers) this.native.pause();
    else this.native.close();
  }
}

/** A ChildProcess emits 'close' when its process and all its streams, the channel too, have ended. */
function closed(child) {
  child._closesGot++;
  if (child._closesGot === child._closesNeeded) child.emit('close', child.exitCode, child.signalCode);
}

/** Messages that Node keeps for itself: `{ cmd: 'NODE_…' }`. */
function isInternal(message) {
  return (
    message !== null &&
    typeof message === 'object' &&
    typeof message.cmd === 'string' &&
    message.cmd.length > 5 &&
    message.cmd.startsWith('NODE_')
  );
}

/**
 * Gives `target` its end of the channel.
 * @param {import('node:child_process').ChildProcess | NodeJS.Process} target
 * @param {number} fd
 * @param {'json' | 'advanced'} serialization
 * @returns {Channel}
 */
function setupChannel(target, fd, serialization) {
  const channel = new Channel(target, fd, serialization);
  target.channel = channel.control;
  Object.defineProperty(target, kChannel, { value: channel, configurable: true });
  target._handleQueue = null;
  target._pendingMessage = null;
  target.connected = true;

  target.on('newListener', () => {
    process.nextTick(() => {
      if (!target.channel || !target.listenerCount('message')) return;
      const pending = channel.control.pending.splice(0);
      for (const message of pending) target.emit(...message);
    });
  });

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
      throw errors.invalidOptions(options);
    }
    if (this.connected) return this._send(message, handle, options, callback);
    fail(this, errors.channelClosed(), callback);
    return false;
  };

  channel.ownSend = target.send;

  target._send = function (message, handle, options, callback) {
    if (message === undefined) throw errors.missingMessage();
    if (!isSendable(message)) throw errors.invalidMessage(message);
    if (message?.cmd === 'NODE_CLUSTER' && controlMessages.has(message)) {
      channel.writeControl(message, -1);
      return true;
    }
    const sending = handle ? handles.send(channel, message, handle, options ?? {}) : undefined;
    try {
      const queued = sending
        ? channel.send(sending.message, sending.fd, callback)
        : channel.send(message, -1, callback);
      return queued < HIGH_WATER;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      // An older signature: _send(message, handle, swallowErrors).
      if (options !== true && !options?.swallowErrors) fail(this, kernelError(error), callback);
      return false;
    } finally {
      sending?.sent();
    }
  };

  target.disconnect = function () {
    if (!this.connected) {
      this.emit('error', errors.disconnected());
      return;
    }
    this.connected = false;
    this._disconnect();
  };

  target._disconnect = function () {
    this.channel = null;
    process.nextTick(() => {
      channel.close();
      target.emit('disconnect');
    });
  };

  return channel;
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

/** The error as Node reports a failed write: `write EPIPE`. */
function kernelError({ code }) {
  return Object.assign(new Error(`write ${code}`), { errno: -constants.errno[code], code, syscall: 'write' });
}

/** @returns {Channel | undefined} */
const channelOf = target => target[kChannel];

module.exports = { setupChannel, channelOf, closed };
