'use strict';

// One end of the channel, as JavaScript drives it. Framing, joining and writing are Rust's
// (src/node/channel/); here messages become text and text becomes messages, and what arrives is delivered in
// order.

const native = require('../native').load();

/** Kinds of what `Channel.read` returns: see src/messages/frame.rs and src/node/channel/found.rs. */
const JSON_TEXT = 1;
const ADVANCED = 2;
const CONTROL = 3;
const END = -1;
const STARVED = -2;
/** In the place of a descriptor: one came, and the process had no number for it. */
const LOST = -2;

/** The longest message, where no limit is set: V8 has no longer strings. */
const { MAX_STRING_LENGTH } = require('node:buffer').constants;

/** How many runs of messages are taken at a call of Rust's, which costs as much as to take a small message. */
const RUNS = 8;

/** From how many bytes on a message is large: then the next one is likely to be, too. */
const LARGE = 4096;

/** How many large messages are not searched for long strings after one that has none: the search takes time, too. */
const UNSEARCHED = 8;

/** How long a process without a free descriptor waits before it tries again to receive one, in ms. */
const STARVED_PAUSE = 100;

// Loaded where they are used: every worker would wait for them to start.
const errors = () => require('../errors');
const longStrings = () => require('./long_strings');
let serializationModule;
const serialization = () => {
  serializationModule ??= require('./serialization');
  return serializationModule;
};

/**
 * Calls `use` with what `load` loads. To be read, a file needs a descriptor: where none is left, it waits.
 * @template T
 * @param {() => T} load
 * @param {(loaded: T) => void} use
 */
function whenLoaded(load, use) {
  let loaded;
  try {
    loaded = load();
  } catch (error) {
    if (!isStarved(error)) throw error;
    setTimeout(whenLoaded, STARVED_PAUSE, load, use);
    return;
  }
  use(loaded);
}

let handlesModule;

function loadHandles() {
  handlesModule ??= require('./handles');
  return handlesModule;
}

/** @param {(handles: typeof import('./handles')) => void} use */
const withHandles = use => whenLoaded(loadHandles, use);

/** @param {(errors: typeof import('../errors')) => void} use */
const withErrors = use => whenLoaded(errors, use);

/** Where messages that V8 has written lie until they are copied out; a large one is not kept. */
let scratch;
const LARGEST_SCRATCH = 2 * 1024 * 1024;

function copies({ lengths, scratch: larger }) {
  const buffer = larger ?? scratch;
  if (buffer.length <= LARGEST_SCRATCH) scratch = buffer;
  const { deserialize } = serialization();
  let start = 0;
  return lengths.map(length => {
    const copy = deserialize(buffer.subarray(start, start + length));
    start += length;
    return copy;
  });
}

function messagesOf(found) {
  if (found.kind === ADVANCED) return copies(found);
  return JSON.parse(found.json);
}

/**
 * Calls `first`, which may run a program's code, and then `next`: though `first` throws, in a tick of its own then,
 * if the program lives on.
 */
function inAnyCase(first, next) {
  let done = false;
  try {
    first();
    done = true;
  } finally {
    if (!done) process.nextTick(next);
  }
  next();
}

/** The cluster's own messages on their way through a send() that a program has wrapped. */
const controlMessages = new WeakSet();

class Channel {
  /** Called with each of the cluster's own messages that is no answer, and its descriptor (-1: none). */
  oncontrol = () => {};
  /** Called when the other process has closed its end. */
  onend = () => {};
  /** Called when the other process broke the protocol. */
  onbroken = () => {};
  /** Sockets sent and received, by the server they came from: see ./socket_list. */
  sockets = { send: new Map(), got: new Map() };

  /** Those of the native channel's functions that many messages take. */
  #sendText;
  #sendParts;
  #take;
  /** Who asked, by the number of the question. Answers are matched within one channel: no other can give them. */
  #asked = new Map();
  #questions = 0;
  /** Callbacks of messages that are not in the kernel yet: [position in the stream, callback]. */
  #unwritten = [];
  /**
   * Bytes of the longest message that may be sent: of its JSON text, or of what V8 makes of it. And how many UTF-16
   * units of JSON text are no more than that for sure: 3 bytes each at most, or 2 and some for each value.
   */
  #longest;
  #surely;
  /** Whether the last message sent was large. */
  #large = false;
  /** How many large messages are not to be searched. */
  #unsearched = 0;
  /** Messages that came while nobody listened, and how many of them are on their way to who does now. */
  #unheard = [];
  #late = 0;
  /** The wait for a descriptor to receive one with. */
  #pause;
  /** Whether a received handle is being adopted: what comes after it waits. */
  #adopting = false;
  /** Called when all that has arrived is on its way. */
  #drained;
  /** Whether the other process has closed its end, and whether we read no more. */
  #ended = false;
  #closed = false;
  #onclosed;

  constructor(target, fd, serialization, { longestSent, ...limits } = {}) {
    this.#longest = longestSent ?? MAX_STRING_LENGTH;
    this.#surely = Math.floor((this.#longest - 2048) / 3);
    this.target = target;
    this.advanced = serialization === 'advanced';
    this.native = new native.Channel(
      fd,
      () => {
        for (let taken = 0, found = 1; found > 0 && taken < RUNS; taken += found) found = this.#receive();
      },
      errno => this.#tried(errno),
      limits,
    );
    this.#sendText = this.native.sender();
    this.#sendParts = this.native.partsSender();
    this.#take = this.native.reader();
  }

  /** Whether the channel keeps the process alive: also while it waits for a descriptor. */
  ref() {
    this.native.ref();
    this.#pause?.ref();
  }

  unref() {
    this.native.unref();
    this.#pause?.unref();
  }

  /** Sends one of the cluster's own messages and calls back with its answer. */
  ask(message, callback) {
    const seq = ++this.#questions;
    this.#asked.set(seq, callback);
    this.sendControl({ ...message, seq });
  }

  /**
   * Answers a question: if that cannot be sent, with the reason.
   * @returns {boolean} whether `reply` is on its way
   */
  answer({ seq }, reply, fd) {
    const errno = this.sendControl({ ...reply, ack: seq }, fd);
    if (errno) this.sendControl({ ack: seq, errno });
    return !errno;
  }

  /**
   * Sends one of the cluster's own messages, if the channel is open: through send(), if a program has wrapped
   * that, as Node does.
   * @returns {number} why it cannot be sent, as libuv numbers it, or 0
   */
  sendControl(message, fd = -1) {
    const { target } = this;
    if (!target.connected) return 0;
    if (fd >= 0 || target.send === this.ownSend) return this.writeControl(message, fd);
    const wrapped = { cmd: 'NODE_CLUSTER', ...message };
    controlMessages.add(wrapped);
    target.send(wrapped);
    return 0;
  }

  writeControl(message, fd) {
    try {
      this.native.sendJson(CONTROL, JSON.stringify(message), fd);
    } catch (error) {
      // One that does not read is left.
      if (isQueueFull(error)) this.#fail(error);
      // The end of the channel says to all that the other process is gone.
      else if (!isGone(error)) return this.#unsent(message, error);
    }
    return 0;
  }

  #unsent({ seq }, { code }) {
    const { errno } = require('node:os').constants;
    const reason = -(errno[code] ?? errno.EMSGSIZE);
    // A question of ours: nobody else will answer it.
    if (seq) process.nextTick(() => this.#useControl({ ack: seq, errno: reason }, -1));
    return reason;
  }

  /**
   * Queues a message.
   * @returns {number} bytes that wait
   * @throws what cannot be serialised, EPIPE, EMFILE, ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE,
   *   ERR_RUST_CLUSTER_QUEUE_FULL
   */
  send(message, fd, callback) {
    let queued;
    try {
      queued = this.#encode(message, fd);
    } catch (error) {
      if (isQueueFull(error)) this.#fail(error);
      throw error;
    }
    if (typeof callback === 'function') {
      if (queued > 0) queued = this.native.flush();
      if (queued > 0) this.#unwritten.push([this.native.end, callback]);
      else process.nextTick(callback, null);
    }
    return queued;
  }

  #encode(message, fd) {
    const isJson = !this.advanced || serialization().isJson(message);
    const searched = isJson && fd < 0 && this.#large && this.#unsearched === 0;
    const parts = searched ? longStrings().takeOut(message) : undefined;
    if (parts) {
      const units = parts.reduce((sum, { length }) => sum + length, 0);
      // A long string may take 6 bytes a unit in JSON. Near the limit a message travels as what it is measured by.
      if (units <= this.#surely / 2) {
        this.#large = units >= LARGE;
        return this.#sendParts(parts);
      }
    }
    // V8's serialiser makes the copies of 'advanced' that JSON cannot, and quicker ones of large messages.
    if (this.advanced && (this.#large || !isJson)) return this.#sendSerialized(message, fd);
    const text = JSON.stringify(message) ?? 'null';
    if (text.length > this.#surely) {
      if (this.advanced) return this.#sendSerialized(message, fd);
      // What goes along with a handle is in an envelope.
      this.#checkSize(Buffer.byteLength(fd < 0 ? text : (JSON.stringify(message.msg) ?? 'null')));
    }
    this.#large = text.length >= LARGE;
    if (this.#large) this.#unsearched = searched ? UNSEARCHED : Math.max(0, this.#unsearched - 1);
    return fd < 0 ? this.#sendText(text) : this.native.sendJson(JSON_TEXT, text, fd);
  }

  #sendSerialized(message, fd) {
    const { serialize } = serialization();
    const bytes = serialize(message);
    if (bytes.length > this.#longest) this.#checkSize((fd < 0 ? bytes : serialize(message.msg)).length);
    this.#large = bytes.length >= LARGE;
    return this.native.sendAdvanced(bytes, fd);
  }

  #checkSize(size) {
    if (size > this.#longest) throw errors().messageTooLarge(size, this.#longest);
  }

  /**
   * It was tried again to write what waits.
   * @param {number} errno for what the kernel has refused it for a while, 0: nothing
   */
  #tried(errno) {
    if (errno) process.emitWarning(errors().unsent(this.target, native.errorName(errno)));
    this.#callBack();
    if (this.#onclosed && this.native.queued === 0) process.nextTick(() => this.#closeNow());
  }

  /** Calls back for the messages that are in the kernel. */
  #callBack() {
    const { written } = this.native;
    const left = this.#unwritten.findIndex(([position]) => position > written);
    const done = this.#unwritten.splice(0, left < 0 ? this.#unwritten.length : left);
    for (const [, callback] of done) process.nextTick(callback, null);
  }

  /**
   * Takes the next messages out of the socket. Each is delivered in a tick of its own, as Node does it: neither
   * what its listener throws nor the asynchronous context that it enters concerns the next one. While there is
   * more, Rust calls again; what the listeners have put off (ticks, promises) is done before.
   * @returns {number} for how many it counts, 0: there is nothing for now, or ever
   */
  #receive() {
    if (this.#adopting || this.#closed) return 0;
    let fd = -1;
    try {
      const found = this.#take(scratch);
      if (typeof found === 'number') return this.#nothing(found);
      if (typeof found === 'string') {
        process.nextTick(this.#deliver, JSON.parse(found));
      } else if (Array.isArray(found)) {
        const messages = longStrings().putBack(found);
        for (const message of messages) process.nextTick(this.#deliver, message);
        // They are large: not too many at a time.
        return Math.max(1, messages.length);
      } else {
        fd = found.fd;
        this.#deliverAll(messagesOf(found), found);
      }
      return 1;
    } catch (error) {
      // The other process does not speak our protocol. What else it sends is not read.
      if (fd >= 0) native.close(fd);
      const reason = typeof error.code === 'string' ? error : errors().badMessage(error);
      process.nextTick(() => this.onbroken(reason));
      return this.#nothing(END);
    }
  }

  #nothing(reason) {
    if (reason === END) this.#end();
    else if (reason === STARVED) this.#wait();
    return 0;
  }

  /** Reads again later. Until then the loop has nothing to watch, and must live as long as if it had. */
  #wait() {
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (!this.#closed) this.native.resume();
    }, STARVED_PAUSE);
    if (!this.native.hasRef()) this.#pause.unref();
  }

  #deliverAll(messages, { kind, fd }) {
    if (kind === CONTROL) {
      for (const message of messages) {
        const said =
          fd === LOST ? { ...message, errno: -require('node:os').constants.errno.EMFILE } : message;
        process.nextTick(this.#deliverControl, said, Math.max(fd, -1));
      }
    } else if (fd >= 0 || fd === LOST) {
      this.#adopt(messages[0], fd);
    } else {
      for (const message of messages) process.nextTick(this.#deliver, message);
    }
  }

  /** Makes a handle of a received descriptor, and delivers its message with it. */
  #adopt(message, fd) {
    let now = true;
    this.#adopting = true;
    const adopted = handle => {
      this.#adopting = false;
      process.nextTick(this.#deliver, message?.msg, handle);
      // What arrived in the meantime.
      if (!now) this.drain();
    };
    withHandles(({ receive }) => {
      try {
        receive(this, message, fd, adopted);
      } catch {
        // libuv does not take it (and it is closed); what comes after it must not wait for ever.
        adopted(undefined);
      }
    });
    now = false;
  }

  /** The cluster's own messages are events too, for those who listen to them, as Node's are. */
  #deliverControl = (message, fd) => {
    const { target } = this;
    const use = () => this.#useControl(message, fd);
    if (target.listenerCount('internalMessage') === 0) use();
    else inAnyCase(() => target.emit('internalMessage', { cmd: 'NODE_CLUSTER', ...message }, undefined), use);
  };

  #useControl(message, fd) {
    // What is no object was not said by anyone of ours.
    const callback = this.#asked.get(message?.ack);
    if (callback) {
      this.#asked.delete(message.ack);
      callback(message, fd);
    } else {
      this.oncontrol(message, fd);
    }
  }

  #deliver = (message, handle) => {
    const { target } = this;
    if (isInternal(message)) {
      target.emit('internalMessage', message, handle);
    } else if (this.#late > 0) {
      this.#deliverAfterUnheard(message, handle);
    } else if (target.listenerCount('message') > 0) {
      target.emit('message', message, handle);
    } else {
      this.#unheard.push([message, handle]);
    }
  };

  /** Delivers what came while nobody listened, if somebody does now. */
  deliverUnheard() {
    const { target } = this;
    if (!target.channel || target.listenerCount('message') === 0) return;
    for (const [message, handle] of this.#unheard.splice(0)) this.#deliverAfterUnheard(message, handle);
  }

  /** Each has a tick of its own here too, behind those that came before it. */
  #deliverAfterUnheard(message, handle) {
    this.#late++;
    process.nextTick(() => {
      this.#late--;
      const { target } = this;
      if (target.listenerCount('message') > 0) target.emit('message', message, handle);
      else this.#unheard.push([message, handle]);
    });
  }

  /**
   * Has all that has arrived delivered, without waiting for the loop.
   * @param {() => void} [done] called when all of it is on its way
   */
  drain(done) {
    this.#drained = done ?? this.#drained;
    if (!this.#closed) this.native.drain();
    while (this.#receive()) {}
    if (this.#adopting) return;
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  /** Ends the channel at once, and says why. What waits to be written is lost. */
  #fail(reason) {
    if (this.#ended) return;
    process.nextTick(() => this.onbroken(reason));
    this.#end();
  }

  /** The other process has closed its end. */
  #end() {
    if (this.#ended) return;
    this.#ended = true;
    inAnyCase(
      () => this.target.connected && this.target.disconnect(),
      () => this.onend(),
    );
  }

  /** Reads no more, and closes our end once what waits is written. */
  close(onclosed) {
    if (this.#closed) return;
    this.#closed = true;
    this.#onclosed = onclosed;
    this.native.pause();
    let queued = 0;
    try {
      queued = this.#ended ? 0 : this.native.flush();
    } catch {
      // The other process is gone, and what waited with it.
    }
    if (queued === 0) this.#closeNow();
  }

  #closeNow() {
    const onclosed = this.#onclosed;
    this.#onclosed = undefined;
    if (this.#unwritten.length === 0) {
      this.native.close();
      onclosed();
      return;
    }
    this.#callBack();
    this.native.close();
    // The other process was gone before these were sent.
    for (const [, callback] of this.#unwritten.splice(0)) {
      process.nextTick(callback, errors().system('write', 'EPIPE'));
    }
    process.nextTick(onclosed);
  }
}

/** Messages that Node keeps for itself: their `cmd` begins with NODE_. */
function isInternal(message) {
  return (
    message !== null &&
    typeof message === 'object' &&
    typeof message.cmd === 'string' &&
    message.cmd.length > 5 &&
    message.cmd.startsWith('NODE_')
  );
}

/** No descriptor is left, to this process or to the system. */
const isStarved = ({ code }) => code === 'EMFILE' || code === 'ENFILE';

/** The other process is gone. */
const isGone = ({ code }) => code === 'EPIPE' || code === 'ECONNRESET' || code === 'ENOTCONN';

const isQueueFull = ({ code }) => code === 'ERR_RUST_CLUSTER_QUEUE_FULL';

module.exports = {
  Channel,
  STARVED_PAUSE,
  inAnyCase,
  withErrors,
  withHandles,
  isQueueFull,
  isOwnControl: message => controlMessages.has(message),
};
