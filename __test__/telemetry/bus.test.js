'use strict';

// What is counted of the bus: nothing where nobody uses it.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { run } = require('../support/program');
const { get } = require('../support/http');
const way = require('../support/way');
const { ask, samples, until } = require('./client');

const skip = way === 'node' && "Node's own cluster does not have it";

test('messages, requests, locks and what is stored are counted where the bus is used', { skip }, async () => {
  await run('telemetry/programs/on-the-bus.js', { exits: ['SIGKILL'] }, async program => {
    const [[, address]] = await program.lines(/^telemetry (.*)/);
    const where = { port: JSON.parse(address).port };
    const [[, port]] = await program.lines(/^worker at (\d+)$/);
    const before = await ask(where, '/metrics');
    assert.doesNotMatch(before.body, /cluster_bus/);
    assert.equal(JSON.parse((await ask(where, '/status')).body).bus, null);

    await get(Number(port));
    const { bus } = await until(where, 'all is counted', ({ bus }) => bus?.store.entries === 2);
    const { published_bytes, delivered_bytes, store, ...counts } = bus;
    assert.ok(delivered_bytes > 3000 && published_bytes > delivered_bytes && published_bytes < 4000);
    assert.ok(store.bytes > 0);
    assert.deepEqual(counts, {
      members: 2,
      topics: 2,
      published: 4,
      delivered: 3,
      missed: 0,
      queued_bytes: 0,
      requests: 1,
      pending: 1,
      locks: { held: 1, waiting: 2 },
    });

    const [{ pid }] = await program.events('online', 1);
    process.kill(pid, 'SIGKILL');
    const isGone = ({ bus }) => bus.members === 1;
    const { bus: after } = await until(where, 'nothing is kept of one that is gone', isGone);
    assert.deepEqual(
      [after.pending, after.locks, after.published, after.store.entries],
      [0, { held: 0, waiting: 0 }, 4, 2],
    );
    const figures = samples((await ask(where, '/metrics')).body);
    const ofBus = [...figures].filter(([name]) =>
      /_(members|published_total|waiting|entries)|state=/.test(name),
    );
    assert.deepEqual(Object.fromEntries(ofBus.filter(([name]) => name.startsWith('cluster_bus'))), {
      cluster_bus_members: 1,
      cluster_bus_messages_published_total: 4,
      'cluster_bus_locks{state="held"}': 0,
      'cluster_bus_locks{state="waiting"}': 0,
      cluster_bus_store_entries: 2,
    });
  });
});
