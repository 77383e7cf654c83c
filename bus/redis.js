'use strict';

// require('rust-cluster/bus/redis'): what bridge() says, said over Redis's Pub/Sub. See docs/bus.md.

const { EventEmitter } = require('node:events');

const errors = require('../lib/errors');

/** With these words Redis's refusals begin. */
const REFUSED = /\b(NOAUTH|WRONGPASS|NOPERM)\b|ERR AUTH/;

/** What is different of the two packages. */
const KINDS = {
  ioredis: {
    connect: client => client.status === 'wait' && client.connect(),
    isReady: client => client.status === 'ready',
    lost: 'close',
    subscribe(subscriber, subject, heard) {
      if (subscriber.listenerCount('messageBuffer') === 0)
        subscriber.on('messageBuffer', (of, bytes) => heard(bytes, of));
      return subscriber.subscribe(subject);
    },
    unsubscribe: (subscriber, subject) => subscriber.unsubscribe(subject),
    end: subscriber => subscriber.disconnect(),
  },
  redis: {
    connect: client => !client.isOpen && client.connect(),
    isReady: client => client.isReady,
    lost: 'reconnecting',
    // A listener that it has already is not added, and the broker not asked.
    subscribe: (subscriber, subject, heard) => subscriber.subscribe(subject, heard, true),
    unsubscribe: (subscriber, subject, heard) => subscriber.unsubscribe(subject, heard, true),
    end(subscriber) {
      // Before version 5 it is called otherwise.
      if (subscriber.isOpen) (subscriber.destroy ?? subscriber.disconnect).call(subscriber);
    },
  },
};

class RedisTransport extends EventEmitter {
  connected = false;
  #kind;
  #publisher;
  /** A connection that has subscribed does nothing else. */
  #subscriber;
  #subscriptions = new Map();
  #heard = (bytes, subject) => this.#subscriptions.get(`${subject}`)?.(bytes);
  #listeners = [];

  /** @param {object} client of `ioredis` or `redis` */
  constructor(client) {
    super();
    this.#kind = 'isReady' in client ? KINDS.redis : KINDS.ioredis;
    this.#publisher = client;
    this.#subscriber = client.duplicate();
    for (const each of [this.#publisher, this.#subscriber]) {
      this.#on(each, 'error', error => this.emit('error', refusal(error)));
      for (const event of ['ready', this.#kind.lost, 'end']) this.#on(each, event, () => this.#look());
      Promise.resolve(this.#kind.connect(each)).catch(error => this.emit('error', refusal(error)));
    }
    this.#look();
  }

  /** The promise is the broker's word: so the bridge knows what waits for it. */
  publish(subject, bytes) {
    return this.#publisher.publish(subject, bytes).catch(error => Promise.reject(refusal(error)));
  }

  async subscribe(subject, heard) {
    this.#subscriptions.set(subject, heard);
    try {
      await this.#kind.subscribe(this.#subscriber, subject, this.#heard);
    } catch (error) {
      throw refusal(error);
    }
  }

  async unsubscribe(subject) {
    if (this.#subscriptions.delete(subject))
      await this.#kind.unsubscribe(this.#subscriber, subject, this.#heard);
  }

  /** The client is the program's. */
  close() {
    for (const [client, event, listener] of this.#listeners) client.removeListener(event, listener);
    this.#subscriber.on('error', () => {});
    this.#kind.end(this.#subscriber);
  }

  #on(client, event, listener) {
    client.on(event, listener);
    this.#listeners.push([client, event, listener]);
  }

  #look() {
    const connected = [this.#publisher, this.#subscriber].every(this.#kind.isReady);
    if (connected === this.connected) return;
    this.connected = connected;
    this.emit(connected ? 'connected' : 'disconnected');
  }
}

const refusal = error => (REFUSED.test(error?.message) ? errors.bridgeRefused(error) : error);

/** @param {object} client of `ioredis`, or of `redis`. It need not be connected */
const redis = client => new RedisTransport(client);

module.exports = { redis };
