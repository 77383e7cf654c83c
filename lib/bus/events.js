'use strict';

// What happens on a channel, as events of the web.

/**
 * Has what the web's MessageEvent has. To load that one takes some milliseconds and megabytes of each worker: Node has it
 * from undici.
 */
class MessageEvent extends Event {
  /**
   * @param {'message' | 'messageerror'} type
   * @param {number | 'primary' | { machine: string, slot: number | 'primary' }} from who has posted it
   * @param {any} data
   * @param {string} [traceparent] the trace that it belongs to
   */
  constructor(type, from, data, traceparent) {
    super(type);
    this.from = from;
    this.data = data;
    this.traceparent = traceparent;
  }

  get origin() {
    return '';
  }

  get lastEventId() {
    return '';
  }

  get source() {
    return null;
  }

  get ports() {
    return [];
  }

  get [Symbol.toStringTag]() {
    return 'MessageEvent';
  }
}

/** This process has missed messages: it did not read them in time, or they were lost between machines. */
class GapEvent extends Event {
  /** @param {number} [missed] how many; undefined: nobody knows */
  constructor(missed) {
    super('gap');
    this.missed = missed;
  }
}

module.exports = { GapEvent, MessageEvent };
