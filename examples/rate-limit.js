'use strict';

// Limits that hold over all workers, exactly: what each counts is kept in the bus (docs/bus.md), and not in each worker.
//
//   npm install express express-rate-limit rate-limiter-flexible rust-cluster
//   node examples/rate-limit.js               or, on another port:  PORT=8001 node examples/rate-limit.js
//   for i in $(seq 101); do curl -o /dev/null -sw '%{http_code} ' http://127.0.0.1:8000/; done        the last is 429
//   for i in $(seq 6); do curl -o /dev/null -sw '%{http_code} ' -X POST http://127.0.0.1:8000/login; done
//
// Two libraries, a store for each: take the one that you use.

const { randomUUID } = require('node:crypto');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');
const { store } = require('rust-cluster/bus');
const { RateLimiterRes } = require('rate-limiter-flexible');
const RateLimiterStoreAbstract = require('rate-limiter-flexible/lib/RateLimiterStoreAbstract');

/** The store of express-rate-limit. */
class BusStore {
  /** Counts of other workers are the same counts. */
  localKeys = false;
  #window;

  constructor({ prefix = 'requests:' } = {}) {
    this.prefix = prefix;
  }

  init({ windowMs }) {
    this.#window = windowMs;
  }

  async #add(key, by) {
    const { value, ttl } = await store.increment(`${this.prefix}${key}`, { by, ttl: this.#window });
    return { totalHits: value, resetTime: new Date(Date.now() + ttl) };
  }

  increment(key) {
    return this.#add(key, 1);
  }

  async get(key) {
    // What is not there must not begin by being looked at.
    const value = await store.get(`${this.prefix}${key}`);
    return value === undefined ? undefined : this.#add(key, 0);
  }

  async decrement(key) {
    if (await this.get(key)) await this.#add(key, -1);
  }

  async resetKey(key) {
    await store.delete(`${this.prefix}${key}`);
  }
}

/**
 * A limiter of rate-limiter-flexible. To block somebody is to count anew, from a number that is too high: under another name,
 * which all see at once. Who still counts under the old one is over its limit too.
 */
class RateLimiterBus extends RateLimiterStoreAbstract {
  async _upsert(key, points, ms, anew = false) {
    const name = anew ? `${key} ${randomUUID()}` : await nameOf(key);
    const ttl = Math.max(ms, 0);
    const counted = await store.increment(name, { by: points, ttl });
    if (anew) await store.set(key, name, { ttl });
    return counted;
  }

  async _get(key) {
    const name = await nameOf(key);
    return (await store.get(name)) === undefined ? null : store.increment(name, { by: 0 });
  }

  async _delete(key) {
    const names = [key, counterOf(key), await nameOf(key)];
    const deleted = await Promise.all(names.map(name => store.delete(name)));
    return deleted.includes(true);
  }

  _getRateLimiterRes(_key, changed, { value, ttl }) {
    return new RateLimiterRes(Math.max(this.points - value, 0), ttl || -1, value, value === changed);
  }
}

const counterOf = key => `${key} counted`;
const nameOf = async key => (await store.get(key)) ?? counterOf(key);

function serve() {
  const express = require('express');
  const { rateLimit } = require('express-rate-limit');
  const app = express();
  app.use(
    rateLimit({
      windowMs: 15 * 60_000,
      limit: 100,
      store: new BusStore(),
    }),
  );
  app.get('/', (_request, response) => response.send(`Hello from worker ${cluster.worker.id}\n`));

  const logins = new RateLimiterBus({ keyPrefix: 'login', points: 5, duration: 60, blockDuration: 900 });
  app.post('/login', async ({ ip }, response) => {
    try {
      await logins.consume(ip);
      response.status(401).send('Wrong password\n');
    } catch ({ msBeforeNext }) {
      response
        .set('Retry-After', Math.ceil(msBeforeNext / 1000))
        .status(429)
        .send('Too many attempts\n');
    }
  });
  app.listen(process.env.PORT ?? 8000, '127.0.0.1');
}

module.exports = { BusStore, RateLimiterBus };

if (require.main === module) {
  if (cluster.isWorker) serve();
  else for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--) cluster.fork();
}
