'use strict';

// `process.channel` and `worker.process.channel`: whether the channel keeps the process alive.

const EventEmitter = require('node:events');

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
    return this.#channel.hasRef();
  }

  get fd() {
    return this.#channel.fd;
  }
}

module.exports = Control;
