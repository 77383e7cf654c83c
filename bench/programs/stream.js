'use strict';

// A stream of numbered messages, and the check that each of them arrived, once, in order and whole.

const { isDeepStrictEqual } = require('node:util');

/** Ten digits, so that all messages have one size. */
const FIRST = 1_000_000_000;

/** How many messages a turn of the event loop sends at most. */
const TURN = 1000;

/** Numbers of three digits, over and over. */
const numbers = count => Array.from({ length: count }, (_, i) => 100 + (i % 900));

/**
 * What a message carries beside its number, by shape: about as many bytes of JSON as are asked for.
 * @type {Record<string, (size: number) => unknown>}
 */
const payloads = {
  /** A string that makes the message's JSON `size` bytes long; undefined for the smallest: `{"n":1000000000}`. */
  string(size) {
    const bare = JSON.stringify({ n: FIRST, p: '' }).length;
    return size < bare ? undefined : 'x'.repeat(size - bare);
  },
  fields: size => Object.fromEntries(numbers(size / 20).map((n, i) => [`field${1000 + i}`, `${n} km`])),
  numbers: size => numbers(size / 4),
  records: size => numbers(size / 40).map(n => ({ id: n, name: `user ${n}`, active: true })),
  buffer: size => Buffer.alloc(size, 'x'),
};

/** One message in so many is compared whole where that takes longer than to receive it. */
const COMPARED = 50;

/** Whether two payloads are the same. */
function same(payload, expected, number) {
  if (Buffer.isBuffer(expected)) return expected.equals(payload);
  if (typeof expected !== 'object') return payload === expected;
  return number % COMPARED > 0 ? typeof payload === 'object' : isDeepStrictEqual(payload, expected);
}

const messageFor = (n, payload) => (payload === undefined ? { n } : { n, p: payload });

/**
 * @typedef {object} Stream
 * @property {number} size
 * @property {string} [shape] see `payloads`
 * @property {number} [milliseconds] it ends after a time, or
 * @property {number} [count] a count
 * @property {number} [turn] how many messages a turn of the loop sends at most
 * @property {boolean} [flood] send on, whatever send() returned
 */

/**
 * Sends messages as fast as back-pressure lets it: after a send() that returned false, it waits for the
 * callback of one more message.
 * @param {{ send: Function }} target a worker, or `process`
 * @param {Stream} stream
 * @returns {Promise<number>} how many messages were sent
 */
function send(target, stream) {
  const {
    size,
    shape = 'string',
    milliseconds = Infinity,
    count = Infinity,
    turn = TURN,
    flood = false,
  } = stream;
  const payload = payloads[shape](size);
  const deadline = performance.now() + milliseconds;
  let sent = 0;
  return new Promise((resolve, reject) => {
    const again = error => (error ? reject(error) : sendSome());
    function sendSome() {
      for (let i = 0; i < turn; i++) {
        if (sent >= count || (i % 64 === 0 && performance.now() >= deadline)) return resolve(sent);
        if (!target.send(messageFor(FIRST + sent++, payload)) && !flood) {
          target.send(messageFor(FIRST + sent++, payload), again);
          return;
        }
      }
      setImmediate(sendSome);
    }
    sendSome();
  });
}

/** Counts the messages of a stream. */
class Receiver {
  #payload;
  count = 0;

  /** @param {Stream} stream */
  constructor({ size, shape = 'string' }) {
    this.#payload = payloads[shape](size);
  }

  /** Whether `message` is the one that comes next. */
  takes({ n, p }) {
    if (n !== FIRST + this.count || !same(p, this.#payload, this.count)) return false;
    this.count++;
    return true;
  }
}

module.exports = { send, Receiver };
