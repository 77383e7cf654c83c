'use strict';

// What the live view and `rust-cluster top` make of two looks at a cluster.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Cluster } = require('./fake');

const measures = import('../../lib/telemetry/page/measures.mjs');
const history = import('../../lib/telemetry/page/history.mjs');
const words = import('../../lib/telemetry/page/words.mjs');

const copy = value => structuredClone(value);

/** A history of a cluster, which is told of it by calling `look`. */
async function seen(cluster, longest = 900_000) {
  const { History } = await history;
  const found = new History(longest);
  return { found, look: () => found.add(copy(cluster.status)) };
}

test('a rate is what a counter has grown, by the time of the two looks', async () => {
  const { measure } = await measures;
  const cluster = new Cluster(2);
  const before = copy(cluster.status);
  cluster.second(slot => (slot === 0 ? 30 : 90));
  cluster.second(slot => (slot === 0 ? 30 : 90));
  const point = measure(cluster.status, before);
  assert.equal(point.accepted, 120);
  assert.deepEqual(
    point.slots.map(({ rate }) => rate),
    [30, 90],
  );
  assert.equal(point.ports[0].rate, 120);
  assert.equal(measure(cluster.status).accepted, null);
});

test('a counter that was reset begins at zero, and so does another primary: no rate is below it', async () => {
  const { measure } = await measures;
  const cluster = new Cluster(2);
  cluster.second(() => 1000);
  const before = copy(cluster.status);
  cluster.replace(0);
  cluster.turn(0, 'ready').second(() => 50);
  assert.equal(measure(cluster.status, before).slots[0].rate, 50);
  cluster.status.slots[0].taken = 7;
  assert.equal(measure(cluster.status, before).slots[0].rate, 7);
  const other = new Cluster(2).second(() => 5);
  Object.assign(other.status, { pid: 9999, time: cluster.status.time + 1000 });
  const point = measure(other.status, cluster.status);
  assert.equal(point.accepted, null);
  assert.equal(point.slots[0].rate, null);
});

test('quantiles are those of Prometheus: even within a bucket, the last bound beyond it', async () => {
  const { quantile, since, together } = await measures;
  const histogram = {
    buckets: [
      [1, 50],
      [2, 100],
    ],
    count: 100,
  };
  assert.equal(quantile(histogram, 0.5), 1);
  assert.equal(quantile(histogram, 0.75), 1.5);
  assert.equal(quantile({ ...histogram, count: 1000 }, 0.99), 2);
  assert.equal(quantile({ buckets: [[1, 0]], count: 0 }, 0.5), null);
  assert.equal(quantile(null, 0.5), null);
  const later = {
    buckets: [
      [1, 50],
      [2, 120],
    ],
    count: 120,
  };
  assert.deepEqual(since(later, histogram), {
    buckets: [
      [1, 0],
      [2, 20],
    ],
    count: 20,
  });
  assert.deepEqual(since(histogram, later), histogram);
  assert.equal(together([histogram, null, later]).count, 220);
});

test('what is not a number is not known', async () => {
  const { measure } = await measures;
  const { bytes, count, duration, percent, age, text } = await words;
  const cluster = new Cluster(1);
  const before = copy(cluster.status);
  cluster.second();
  Object.assign(cluster.status.slots[0], { taken: null, cpu: 'x', messages: undefined });
  const [slot] = measure(cluster.status, before).slots;
  assert.deepEqual([slot.rate, slot.cpuShare, slot.sent], [null, null, null]);
  for (const write of [bytes, count, duration, percent, age])
    for (const value of [null, undefined, Number.NaN, '1']) assert.equal(write(value), '\u2013');
  assert.equal(text(null), '\u2013');
});

test('numbers are written for people', async () => {
  const { bytes, count, duration, percent, age } = await words;
  assert.deepEqual([0, 0.25, 12.34, 1234.5].map(count), ['0', '0.25', '12.3', '1,235']);
  assert.deepEqual([0, 2e-8, 4.2e-5, 0.0123, 3].map(duration), [
    '0 s',
    '<1 \u00b5s',
    '42 \u00b5s',
    '12.3 ms',
    '3 s',
  ]);
  assert.deepEqual([12, 2048, 60 * 2 ** 20].map(bytes), ['12 B', '2 KiB', '60 MiB']);
  assert.deepEqual([0, 0.123, 1].map(percent), ['0%', '12.3%', '100%']);
  assert.deepEqual([5, 65, 3700, 90_000].map(age), ['5 s', '1 min 5 s', '1 h 1 min', '1 d 1 h']);
});

test('a history keeps what is shown, and no more: a page may be open for a week', async () => {
  const cluster = new Cluster(3);
  const { found, look } = await seen(cluster, 60_000);
  for (let second = 0; second < 2000; second++) {
    if (second % 2 === 0) cluster.replace(1);
    else cluster.turn(1, 'ready');
    cluster.second();
    look();
  }
  assert.equal(found.points.length, 61);
  const spans = [...found.lives.values()].map(life => life.spans.length);
  assert.deepEqual([spans[0], spans[2]], [1, 1]);
  assert.ok(spans[1] <= 62, `${spans[1]} spans in a minute`);
  cluster.status.slots.pop();
  for (let second = 0; second < 62; second++) {
    cluster.second();
    look();
  }
  assert.deepEqual([...found.lives.keys()], [0, 1]);
});

test("a slot's life is its states one after the other, with the time at which each began", async () => {
  const cluster = new Cluster(1);
  const { found, look } = await seen(cluster);
  const start = cluster.status.time;
  look();
  cluster.second().turn(0, 'stuck').second();
  look();
  cluster.replace(0).second();
  look();
  const [spans] = [...found.lives.values()].map(life => life.spans);
  assert.deepEqual(
    spans.map(({ state, from, to }) => [state, from - start, to - start]),
    [
      ['ready', 0, 1000],
      ['stuck', 1000, 2000],
      ['starting', 2000, 3000],
    ],
  );
});

test('what came while nothing was heard is not made up', async () => {
  const cluster = new Cluster(1);
  const { found, look } = await seen(cluster);
  cluster.second();
  look();
  const heard = cluster.status.time;
  cluster.status.time += 60_000;
  cluster.turn(0, 'stuck').second();
  look();
  assert.deepEqual(
    found.points.map(({ slots }) => slots.length),
    [1, 0, 1],
  );
  const [{ to }, { from }] = found.lives.get(0).spans;
  assert.deepEqual([to, from], [heard, heard + 60_000]);
});

test('a clock that was set back begins a new history', async () => {
  const cluster = new Cluster(1);
  const { found, look } = await seen(cluster);
  cluster.second();
  look();
  cluster.status.time -= 3_600_000;
  look();
  assert.equal(found.points.length, 1);
  assert.equal(found.points[0].time, cluster.status.time);
});

test('latency and shares are of the last ten looks', async () => {
  const cluster = new Cluster(2);
  const { found, look } = await seen(cluster);
  look();
  for (let second = 0; second < 20; second++) {
    const isNew = second >= 10;
    cluster.second(slot => (slot === 0 && isNew ? 300 : 100), isNew ? 0.02 : 2e-5);
    look();
  }
  assert.deepEqual(
    [...found.shares()],
    [
      [0, 0.75],
      [1, 0.25],
    ],
  );
  const { half, most } = found.handoff();
  assert.ok(half > 0.01 && most <= 0.025, `${half}, ${most}`);
});
