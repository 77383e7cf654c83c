'use strict';

// The primary computes while a worker posts more than is kept for the bridge, and opens and closes channels. Then the bridge
// finds its way.

const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const cluster = require('rust-cluster');
const { BroadcastChannel, bridge } = require('rust-cluster/bus');
const { read } = require('../../../lib/bus/envelope');
const { say } = require('../../support/cases');

/** The worker makes it when the hub has done all that it has said. */
const { MARK } = process.env;

class Broker extends EventEmitter {
  connected = true;
  subscribed = new Set();
  sent = new Map();

  publish(subject, bytes) {
    const { number, count, unknownLoss } = read(bytes, 15);
    this.sent.set(subject, [...(this.sent.get(subject) ?? []), { number, count, unknownLoss }]);
    this.emit('change');
  }

  subscribe(subject) {
    this.subscribed.add(subject);
    this.emit('change');
  }

  unsubscribe(subject) {
    this.subscribed.delete(subject);
    this.emit('change');
  }

  close() {}

  async until(condition) {
    while (!condition()) await once(this, 'change');
  }
}

async function primary() {
  const broker = new Broker();
  const joined = bridge(broker, { prefix: 'app' });
  const failed = once(joined, 'error');
  const worker = cluster.fork();
  await once(worker, 'message');
  await broker.until(() => broker.subscribed.has('app.old') && broker.sent.has('app.kept'));
  worker.send('go');
  while (!fs.existsSync(MARK));
  // Now it reads, and is told what it has missed.
  await broker.until(() => broker.subscribed.has('app.new') && !broker.subscribed.has('app.old'));
  await broker.until(() => broker.sent.get('app.kept').some(({ unknownLoss }) => unknownLoss));
  const [{ code }] = await failed;
  say('error', code);
  say('subscribed', [...broker.subscribed].sort());
  const of = broker.sent.get('app.flood') ?? [];
  const told = of.reduce((sum, { count }) => sum + count, 0);
  const last = of.at(-1);
  say('flood', [told < 40, last.number + last.count]);
  await joined.close();
  worker.send('end');
}

async function worker() {
  const [old, kept] = [new BroadcastChannel('old'), new BroadcastChannel('kept')];
  kept.postMessage('before');
  await kept.ready();
  process.send('there');
  await once(process, 'message');
  const flood = new BroadcastChannel('flood');
  for (let i = 0; i < 40; i++) flood.postMessage('x'.repeat(1024 * 1024));
  await flood.ready();
  old.close();
  const fresh = new BroadcastChannel('new');
  await fresh.ready();
  const ended = once(process, 'message');
  fs.writeFileSync(MARK, '');
  await ended;
  cluster.worker.disconnect();
}

if (cluster.isPrimary) primary();
else worker();
