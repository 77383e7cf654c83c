'use strict';

// Clients. A connection of theirs says nothing: the worker that is given it answers with its number, and the
// client ends it by a reset, which leaves no port waiting.

const { once } = require('node:events');
const net = require('node:net');
const { now, sleep } = require('./time');

/**
 * @typedef {object} Attempt what became of one connection
 * @property {number} start
 * @property {number} end
 * @property {number} [port] the client's
 * @property {number} [made] when it was connected, as the client sees it
 * @property {'served' | 'refused' | 'reset' | 'hung'} outcome
 * @property {number} [worker] who served it
 */

/** @typedef {number | string | {host: string, port: number}} Target a port of the loopback interface, a path, an address */

/** @param {Target} target */
function connect(target) {
  if (typeof target === 'number') return net.connect({ host: '127.0.0.1', port: target });
  return net.connect(target);
}

/**
 * @param {Target} target
 * @param {number} patience how long to wait for an answer, in milliseconds
 * @returns {Promise<Attempt>}
 */
function attempt(target, patience) {
  return new Promise(resolve => {
    const start = now();
    let port;
    let made;
    const socket = connect(target);
    const finish = (outcome, worker) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      if (outcome === 'served' && port) socket.resetAndDestroy();
      else socket.destroy();
      resolve({ start, made, end: now(), port, outcome, worker });
    };
    const timer = setTimeout(finish, patience, 'hung');
    socket.setNoDelay(true);
    socket.on('connect', () => {
      port = socket.localPort;
      made = now();
    });
    socket.on('data', data => finish('served', Number.parseInt(data.toString('latin1'), 10)));
    socket.on('end', () => finish('reset'));
    socket.on('error', ({ code }) => finish(code === 'ECONNREFUSED' ? 'refused' : 'reset'));
  });
}

/** What goes on until it is stopped. */
const live = new Set();

/** Ends what an attack that failed has left. */
function stopAll() {
  for (const load of live) load.stop();
}

/** Connections one after the other, on several clients at once, until it is stopped. */
class Crowd {
  /** @type {Attempt[]} */
  attempts = [];

  #stopped = false;
  #clients;

  /**
   * @param {{ clients: number, patience?: number, untilRefused?: boolean, visitor?: () => typeof attempt }} options
   *   `visitor`: makes what a client does, each time, in the place of `attempt`
   */
  constructor(target, { clients, patience = 10_000, untilRefused = false, visitor = () => attempt }) {
    const client = async () => {
      const visit = visitor();
      while (!this.#stopped) {
        const one = await visit(target, patience);
        this.attempts.push(one);
        if (untilRefused && one.outcome === 'refused') return;
      }
    };
    this.#clients = Promise.all(Array.from({ length: clients }, client));
    live.add(this);
  }

  get running() {
    return !this.#stopped;
  }

  async stop() {
    live.delete(this);
    this.#stopped = true;
    await this.#clients;
    return this.attempts;
  }
}

/** A connection every few milliseconds, whatever became of those before it. */
class Rain {
  #attempts = [];
  #timer;

  constructor(target, { every, patience = 10_000 }) {
    let due = now();
    this.#timer = setInterval(() => {
      for (; due <= now(); due += every) this.#attempts.push(attempt(target, patience));
    }, every);
    live.add(this);
  }

  async stop() {
    live.delete(this);
    clearInterval(this.#timer);
    return Promise.all(this.#attempts);
  }
}

/** A rain of so many milliseconds. */
async function rain(target, ms, options) {
  const falling = new Rain(target, options);
  await sleep(ms);
  return falling.stop();
}

/** A client that stays, and asks for an answer now and then. */
class Guest {
  #socket;
  #answers = 0;

  static async come(target) {
    const guest = new Guest();
    guest.#socket = connect(target).on('error', () => {});
    await once(guest.#socket, 'data');
    guest.#socket.on('data', () => guest.#answers++);
    return guest;
  }

  /** Whether it is answered within so many milliseconds. */
  async ask(ms) {
    const answers = this.#answers;
    this.#socket.write('x');
    for (const end = now() + ms; this.#answers === answers; await sleep(5)) if (now() > end) return false;
    return true;
  }

  leave() {
    this.#socket.resetAndDestroy();
  }
}

/** How many ended in each way. */
function outcomes(attempts) {
  const counts = { served: 0, refused: 0, reset: 0, hung: 0 };
  for (const { outcome } of attempts) counts[outcome]++;
  return counts;
}

const latency = ({ start, end }) => end - start;

module.exports = { attempt, Crowd, Rain, Guest, rain, stopAll, outcomes, latency };
