'use strict';

// Serves the live view and what it shows, as the thread that answers does, but for a cluster that a test makes up.

const http = require('node:http');
const { once } = require('node:events');
const { assets } = require('../../lib/telemetry/page');

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const BOUNDS = [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 1];
const START = Date.UTC(2026, 0, 2, 12);

/** A cluster of which nothing is so, but it behaves as one: a second goes by when it is told. */
class Cluster {
  constructor(count = 4) {
    this.status = {
      time: START,
      uptime: 1,
      version: '0.1.0',
      node: 'v26.0.0',
      pid: 4100,
      live: true,
      ready: true,
      reasons: [],
      primary: { stuck: false, lag: 0.0002, utilization: 0.01, cpu: 0, rss: 50 * 2 ** 20 },
      acceptor: {
        cpu: 0,
        accepted: 0,
        handed: 0,
        taken_back: 0,
        refused: 0,
        waiting: 0,
        parked: 0,
        ports: [{ address: '127.0.0.1:8000', accepted: 0, waiting: 0 }],
        take_seconds: { buckets: BOUNDS.map(le => [le, 0]), sum: 0, count: 0 },
      },
      slots: Array.from({ length: count }, (_, slot) => ({
        slot,
        taken: 0,
        cpu: 0,
        messages: { sent: 0, received: 0, bytes_sent: 0, bytes_received: 0, queued_bytes: 0 },
        ...this.#fresh(slot + 1, 1, START),
      })),
      starts: count,
      exits: {},
      stuck_episodes: 0,
      reload: null,
    };
  }

  #fresh(worker, generation, since) {
    return {
      worker,
      pid: 4100 + worker,
      generation,
      state: 'ready',
      since,
      open: 0,
      queued: 0,
      lag: 0.0004,
      utilization: 0.1,
      heap: 20 * 2 ** 20,
      rss: 60 * 2 ** 20,
    };
  }

  /** A second in which each slot takes so many connections, `delay` seconds after each was accepted. */
  second(taken = () => 100, delay = 4e-5) {
    const { status } = this;
    const { acceptor } = status;
    status.time += 1000;
    status.uptime += 1;
    for (const slot of status.slots) {
      if (slot.state !== 'ready' && slot.state !== 'draining') continue;
      const count = slot.state === 'ready' ? taken(slot.slot) : 0;
      slot.taken += count;
      slot.open = Math.round(count / 4);
      slot.cpu += count / 1000;
      slot.utilization = Math.min(1, count / 500);
      slot.messages.sent += 3;
      acceptor.accepted += count;
      acceptor.handed += count;
      acceptor.ports[0].accepted += count;
      acceptor.take_seconds.count += count;
      acceptor.take_seconds.sum += count * delay;
      for (const bucket of acceptor.take_seconds.buckets) if (bucket[0] >= delay) bucket[1] += count;
    }
    acceptor.cpu += 0.01;
    status.primary.cpu += 0.02;
    return this;
  }

  /** A slot comes into another state. */
  turn(slot, state) {
    Object.assign(this.status.slots[slot], { state, since: this.status.time });
    if (state === 'stuck') this.status.stuck_episodes++;
    return this;
  }

  /** Another worker fills a slot. Its counters go on. */
  replace(slot, cause = 'signal') {
    const { status } = this;
    status.exits[cause] = (status.exits[cause] ?? 0) + 1;
    const fresh = this.#fresh(++status.starts, status.slots[slot].generation + 1, status.time);
    Object.assign(status.slots[slot], fresh, { state: 'starting' });
    return this;
  }
}

/** The address that answers for a cluster. */
class Fake {
  #server;
  #listeners = new Set();
  /** What was asked for. */
  asked = [];

  constructor(cluster) {
    this.cluster = cluster;
    const files = new Map(assets().map(file => [file.path, file]));
    this.#server = http.createServer((request, response) => {
      this.asked.push(request.url);
      response.setHeader('Content-Security-Policy', CSP);
      response.setHeader('X-Content-Type-Options', 'nosniff');
      if (request.url === '/status') this.#json(response);
      else if (request.url === '/events') this.#events(response);
      else if (files.has(request.url)) {
        const { type, bytes } = files.get(request.url);
        response.setHeader('Content-Type', type).end(bytes);
      } else response.writeHead(404).end();
    });
  }

  /** @returns {Promise<this>} listens on a path, or on a free port */
  async listen(path) {
    this.#server.listen(path ?? { port: 0, host: '127.0.0.1' });
    await once(this.#server, 'listening');
    this.address = path ?? `127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  #json(response) {
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(this.cluster.status));
  }

  #events(response) {
    response.setHeader('Content-Type', 'text/event-stream');
    this.#listeners.add(response);
    response.on('close', () => this.#listeners.delete(response));
    this.#send(response);
  }

  #send(response) {
    response.write(`data: ${JSON.stringify(this.cluster.status)}\n\n`);
  }

  /** Sends the cluster as it is now to all that listen. */
  tell() {
    for (const response of this.#listeners) this.#send(response);
  }

  /** Hangs up on all that listen. */
  hangUp() {
    for (const response of this.#listeners) response.destroy();
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise(resolve => this.#server.close(resolve));
  }
}

/** @param {import('node:test').TestContext} t */
async function fake(t, cluster, path) {
  const server = await new Fake(cluster).listen(path);
  t.after(() => server.close());
  return server;
}

module.exports = { Cluster, Fake, fake, CSP };
