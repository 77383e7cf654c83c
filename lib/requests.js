'use strict';

// The cluster's own messages that want an answer. Answers are matched within one channel, so that no other
// process can give them.

const { channelOf } = require('./setup_channel');

/** One end of the control conversation with one process. */
class Requests {
  #seq = 0;
  #callbacks = new Map();

  /**
   * @param {object} target the ChildProcess of a worker, or `process`
   * @param {(message: object, fd: number) => void} onmessage gets what is no answer
   */
  constructor(target, onmessage) {
    this.target = target;
    channelOf(target).oncontrol = (message, fd) => {
      // Not said by anyone of ours.
      if (message === null || typeof message !== 'object') return;
      const callback = this.#callbacks.get(message.ack);
      if (callback) {
        this.#callbacks.delete(message.ack);
        callback(message, fd);
      } else {
        onmessage(message, fd);
      }
    };
  }

  /** Sends a message, if the channel is open. */
  send(message, fd) {
    if (this.target.connected) channelOf(this.target).sendControl(message, fd);
  }

  /** Sends a message and calls back with its answer. */
  ask(message, callback) {
    const seq = ++this.#seq;
    this.#callbacks.set(seq, callback);
    this.send({ ...message, seq });
  }

  /** Answers a message. */
  answer({ seq }, reply, fd) {
    this.send({ ...reply, ack: seq }, fd);
  }
}

module.exports = Requests;
