'use strict';

// What a bridge says of what goes wrong: the first of a kind at once, and then how many there were, once a second. A broker
// full of garbage is told of, and does not flood the program.

const errors = require('../errors');

const PAUSE = 1000;

class Reports {
  #tell;
  /** How many messages were dropped, by the code of the error. */
  #counts = new Map();
  /** Kinds of which something was told a moment ago: what came since then. */
  #pauses = new Map();

  /** @param {(error: Error & { messages: number }) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  /** @param {number} messages how many were dropped for it */
  report(error, messages) {
    const { code } = error;
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + messages);
    const pause = this.#pauses.get(code);
    if (pause) {
      pause.messages += messages;
      pause.error = error;
    } else {
      this.#now(error, messages);
    }
  }

  /** The broker, or its client, has failed. */
  failed(what, cause, messages = 0) {
    const known = cause?.code === 'ERR_RUST_CLUSTER_BRIDGE_REFUSED';
    this.report(known ? cause : errors.bridgeFailed(what, cause), messages);
  }

  #now(error, messages) {
    const code = error.code;
    const timer = setTimeout(() => this.#resume(code), PAUSE).unref();
    this.#pauses.set(code, { timer, error: undefined, messages: 0 });
    process.nextTick(this.#tell, Object.assign(error, { messages }));
  }

  #resume(code) {
    const { error, messages } = this.#pauses.get(code);
    this.#pauses.delete(code);
    if (error) this.#now(error, messages);
  }

  counts() {
    return Object.fromEntries(this.#counts);
  }

  close() {
    for (const { timer } of this.#pauses.values()) clearTimeout(timer);
  }
}

module.exports = { Reports };
