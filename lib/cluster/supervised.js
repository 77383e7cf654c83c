'use strict';

// What a worker does besides that a supervisor has started: it says why it dies, and it leaves, when it is told to or by
// a signal, in such a way that no request is lost.

/** How many lines, and how many characters, are told of an error. */
const LINES = 20;
const CHARACTERS = 4000;

/** How long a worker whose answers are all given may go on, in ms, if something keeps it alive. */
const GRACE = 1000;

class Supervised {
  /** Whether it leaves. */
  drains = false;
  #child;
  #worker;
  #within;
  #leaving;
  /** Whether the next signal is its end. */
  #warned = false;
  #onsignals = { SIGTERM: () => this.#onsignal('SIGTERM'), SIGINT: () => this.#onsignal('SIGINT') };
  /** The open sessions of each server of HTTP/2: most versions of Node keep no list. */
  #sessions = new Map();

  /**
   * @param {import('./worker')} worker
   * @param {object} child of ./child
   * @param {import('../channel/channel').Channel} channel
   * @param {number} within
   */
  constructor(worker, child, channel, within) {
    this.#worker = worker;
    this.#child = child;
    this.#within = within;
    process.on('uncaughtExceptionMonitor', error => {
      channel.sendControl({ act: 'lastWords', lines: linesOf(error) });
    });
    for (const [signal, listener] of Object.entries(this.#onsignals)) process.on(signal, listener);
  }

  /**
   * Ctrl+C and systemd signal all processes at once, and the supervisor's word of it may come first: who has no listener
   * of its own leaves at the first signal, and ends at the second.
   */
  #onsignal(signal) {
    if (process.listenerCount(signal) > 1) return;
    if (signal === 'SIGTERM' && process.listenerCount('SIGINT') > 1) {
      // Programs that were written for pm2 know no other.
      process.emit('SIGINT', 'SIGINT', 2);
    } else if (!process.connected) {
      // What the program has begun besides its answers has a moment to come to its end.
      setTimeout(() => this.#die(signal), GRACE).unref();
    } else if (this.#warned) {
      this.#die(signal);
    } else {
      this.#warned = true;
      if (this.drains) return;
      this.drain({ within: this.#within });
      this.#worker.disconnect();
    }
  }

  #die(signal) {
    process.off(signal, this.#onsignals[signal]);
    process.kill(process.pid, signal);
  }

  /** The supervisor's SIGTERM is to end it: that one comes next, or was the first and came before. */
  end() {
    if (this.#warned) this.#onsignal('SIGTERM');
    this.#warned = true;
  }

  /** A server listens. */
  serves(server) {
    if (typeof server.updateSettings !== 'function' || this.#sessions.has(server)) return;
    const open = new Set();
    this.#sessions.set(server, open);
    server.on('session', session => {
      open.add(session);
      session.once('close', () => open.delete(session));
    });
    server.once('close', () => this.#sessions.delete(server));
  }

  /**
   * Has connections come to their end.
   * @param {object} message
   * @param {number} message.within how many milliseconds there are
   * @param {boolean} [message.alone] whether no other worker serves on
   */
  drain({ within, alone = false }) {
    // Ctrl+C may have told us before the supervisor does.
    if (this.drains) {
      this.#leaving.alone ||= alone;
      return;
    }
    this.drains = true;
    this.#leaving = { servers: () => this.#child.servers, sessions: this.#sessions, within, alone };
    require('./drain').drain(this.#leaving);
    this.#worker.emit('draining', { within });
  }
}

function linesOf(error) {
  const text = error instanceof Error ? `${error.stack ?? error}` : require('node:util').inspect(error);
  return text.slice(0, CHARACTERS).split('\n').slice(0, LINES);
}

module.exports = { Supervised };
