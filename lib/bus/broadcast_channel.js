'use strict';

// BroadcastChannel across all processes of the cluster: the interface of the web and of node:worker_threads, and requests
// besides.

const errors = require('../errors');
const { arrives, posted } = require('./diagnostics');
const { ask, thisMember } = require('./member');
const { checkName, say } = require('./protocol');
const { request } = require('./request');
const topics = require('./topics');
const { traceOf } = require('./trace');

class BroadcastChannel extends EventTarget {
  #name;
  /** Undefined once it is closed. */
  #topic;
  #referenced = true;
  /** What calls `onmessage` and so on, by the event. */
  #handlers = new Map();
  /** What is told of what happens. */
  #end = {
    receive: event => {
      if (!this.#topic) return;
      arrives(this.#name, event);
      this.dispatchEvent(event);
    },
  };

  /** @param {string} name */
  constructor(name) {
    if (arguments.length === 0) throw errors.missingName();
    super();
    this.#name = checkName('channel', `${name}`);
    this.#topic = topics.open(this.#name.toWellFormed(), this.#end);
    thisMember().need();
  }

  get name() {
    return this.#name;
  }

  /**
   * To all other channels of this name, in all processes.
   * @param {any} message
   * @param {{ traceparent?: string | null }} [options]
   */
  postMessage(message, options = {}) {
    if (arguments.length === 0) throw errors.missingMessage();
    this.#open().post(message, this.#end, traceOf(options));
    posted(this.#name, message);
  }

  /**
   * Asks those who answer on this channel in other processes: one of them (the next in turn), all, the primary, or the
   * worker of a slot.
   * @param {any} data
   * @param {{ to?: 'any' | 'all' | 'primary' | number, signal?: AbortSignal }} [options]
   */
  async request(data, options = {}) {
    this.#open();
    return request(this.#name, data, options);
  }

  /**
   * Answers requests on this channel from now on; null: no more.
   * @param {((data: any, about: { from: number | 'primary', signal: AbortSignal }) => any) | null} answer
   */
  answer(answer) {
    if (answer !== null && typeof answer !== 'function') throw errors.badAnswer(answer);
    this.#open().answer(this.#end, answer);
  }

  /** Resolves when all that was said here is done: from then on it hears what others post. Rejects if the hub has refused. */
  async ready() {
    const { refusals } = this.#open();
    await ask(say.sync);
    const why = refusals.listen ?? refusals.answer;
    if (why) throw errors.busRefused(why);
  }

  close() {
    if (!this.#topic) return;
    topics.close(this.#topic, this.#end);
    this.#topic = undefined;
    if (this.#referenced) thisMember().spare();
  }

  ref() {
    if (this.#topic && !this.#referenced) thisMember().need();
    this.#referenced = true;
    return this;
  }

  unref() {
    if (this.#topic && this.#referenced) thisMember().spare();
    this.#referenced = false;
    return this;
  }

  get onmessage() {
    return this.#handler('message');
  }

  set onmessage(handler) {
    this.#handle('message', handler);
  }

  get onmessageerror() {
    return this.#handler('messageerror');
  }

  set onmessageerror(handler) {
    this.#handle('messageerror', handler);
  }

  get ongap() {
    return this.#handler('gap');
  }

  set ongap(handler) {
    this.#handle('gap', handler);
  }

  get [Symbol.toStringTag]() {
    return 'BroadcastChannel';
  }

  #open() {
    if (!this.#topic) throw errors.channelIsClosed();
    return this.#topic;
  }

  #handler(type) {
    return this.#handlers.get(type)?.handler ?? null;
  }

  /** As the web has it: one that is set anew keeps the turn of the first among the listeners. */
  #handle(type, value) {
    const handler = typeof value === 'function' ? value : null;
    const known = this.#handlers.get(type);
    if (known) {
      known.handler = handler;
    } else if (handler) {
      const added = { handler };
      this.#handlers.set(type, added);
      this.addEventListener(type, event => added.handler?.call(this, event));
    }
  }
}

module.exports = { BroadcastChannel };
