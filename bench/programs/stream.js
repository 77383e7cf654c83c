'use strict';

// A stream of numbered messages, and the check that each of them arrived, once, in order and whole.

/** Ten digits, so that all messages have one size. */
const FIRST = 1_000_000_000;

/** How many messages a turn of the event loop sends at most. */
const TURN = 1000;

/** The padding that makes a message's JSON `size` bytes long; undefined for the smallest: `{"n":1000000000}`. */
function paddingFor(size) {
  const bare = JSON.stringify({ n: FIRST, p: '' }).length;
  return size < bare ? undefined : 'x'.repeat(size - bare);
}

const messageFor = (n, padding) => (padding === undefined ? { n } : { n, p: padding });

/**
 * Sends messages as fast as back-pressure lets it: after a send() that returned false, it waits for the
 * callback of one more message.
 * @param {{ send: Function }} target a worker, or `process`
 * @param {{ size: number, milliseconds?: number, count?: number, turn?: number }} stream ends after a time or a
 *   count; `turn`: how many messages a turn of the loop sends at most
 * @returns {Promise<number>} how many messages were sent
 */
function send(target, { size, milliseconds = Infinity, count = Infinity, turn = TURN }) {
  const padding = paddingFor(size);
  const deadline = performance.now() + milliseconds;
  let sent = 0;
  return new Promise((resolve, reject) => {
    const again = error => (error ? reject(error) : sendSome());
    function sendSome() {
      for (let i = 0; i < turn; i++) {
        if (sent >= count || (i % 64 === 0 && performance.now() >= deadline)) return resolve(sent);
        if (!target.send(messageFor(FIRST + sent++, padding))) {
          target.send(messageFor(FIRST + sent++, padding), again);
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
  #padding;
  count = 0;

  constructor(size) {
    this.#padding = paddingFor(size);
  }

  /** Whether `message` is, in every byte, the one that comes next. */
  takes(message) {
    if (message.n !== FIRST + this.count || message.p !== this.#padding) return false;
    this.count++;
    return true;
  }
}

module.exports = { send, Receiver };
