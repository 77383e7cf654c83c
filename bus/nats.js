'use strict';

// require('rust-cluster/bus/nats'): what bridge() says, said over NATS. See docs/bus.md.

const { EventEmitter } = require('node:events');

const errors = require('../lib/errors');

/** What the two packages call it that a client may not do something. */
const REFUSED = /authoriz|authent|permission/i;

class Nats extends EventEmitter {
  connected;
  #connection;
  #subscriptions = new Map();
  /** The broker's word that it has read what was published in this turn. */
  #flushing;
  #closed = false;

  /** @param {object} connection of `nats` or `@nats-io/transport-node` */
  constructor(connection) {
    super();
    this.#connection = connection;
    this.connected = !connection.isClosed();
    this.#watch();
    connection.closed().then(error => {
      this.#disconnected(error);
      if (!this.#closed) this.emit('error', refusal(error) ?? errors.natsGaveUp(error));
    });
  }

  /** Bytes of a message. */
  get limit() {
    return this.#connection.info?.max_payload;
  }

  publish(subject, bytes) {
    this.#connection.publish(subject, bytes);
    // It is asked behind the last of them: its word holds for what was written before.
    this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined;
      return this.#connection.flush();
    });
    return this.#flushing;
  }

  subscribe(subject, heard) {
    // The client does it again by itself after a reconnect.
    this.#subscriptions.get(subject)?.unsubscribe();
    const callback = (error, message) => {
      if (error) this.emit('error', refusal(error) ?? error);
      else heard(message.data);
    };
    this.#subscriptions.set(subject, this.#connection.subscribe(subject, { callback }));
    return this.#connection.flush();
  }

  unsubscribe(subject) {
    this.#subscriptions.get(subject)?.unsubscribe();
    this.#subscriptions.delete(subject);
  }

  /** The connection is the program's. If it ends that at once, its client writes later what it was told, and throws. */
  async close() {
    this.#closed = true;
    for (const subscription of this.#subscriptions.values()) subscription.unsubscribe();
    await new Promise(setImmediate);
  }

  async #watch() {
    for await (const { type, error, data } of this.#connection.status()) {
      if (this.#closed) return;
      if (type === 'disconnect') this.#disconnected();
      else if (type === 'reconnect') this.#connected();
      else if (type === 'error') this.emit('error', refusal(error ?? data) ?? errors.ofNats(error ?? data));
    }
  }

  #connected() {
    this.connected = true;
    this.emit('connected');
  }

  #disconnected(reason) {
    if (!this.connected) return;
    this.connected = false;
    this.emit('disconnected', reason || undefined);
  }
}

/** The older package says it in words, the newer one has errors of a kind. */
function refusal(error) {
  const words = [error?.code, error?.name, error?.message ?? error].join(' ');
  return REFUSED.test(words) ? errors.bridgeRefused(errors.ofNats(error)) : undefined;
}

/** @param {object} connection what connect() of `nats` or `@nats-io/transport-node` resolves to */
const nats = connection => new Nats(connection);

module.exports = { nats };
