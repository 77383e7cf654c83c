'use strict';

// What all workers share: limits, a cache that forgets what another worker has changed, a job that runs once a cluster.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { folder, run: command, start } = require('../supervisor/command');
const { askUntilAll, get, getMany, send } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');
const { EXAMPLES } = require('./example');

const skip = way === 'node' && "Node's own cluster has no bus";
const WORKERS = 4;

/** Runs an example with four workers. */
function shared(name, options, body) {
  return run(path.join(EXAMPLES, name), { env: { PORT: 0, WORKERS }, ...options }, async program => {
    const workers = await program.events('listening', WORKERS);
    await body(workers[0].address.port, workers, program);
  });
}

const count = (answers, status) => answers.filter(answer => answer.status === status).length;

function post(port, path) {
  const { request, response } = send(port, { path, method: 'POST' });
  request.end();
  return response;
}

test('rate-limit.js: a limit holds over all workers, exactly, though one is killed', { skip }, () =>
  shared('rate-limit.js', { exits: ['SIGKILL'] }, async (port, workers, program) => {
    const answers = await getMany(port, 60, 8);
    assert.equal(count(answers, 200), 60);
    assert.ok(new Set(answers.map(({ body }) => body)).size > 1, 'several workers have answered');
    process.kill(workers[0].pid, 'SIGKILL');
    await program.events('exit');
    const later = await getMany(port, 60, 8);
    assert.equal(count(later, 200), 40);
    assert.equal(count(later, 429), 20);
  }),
);

test('rate-limit.js: attempts to log in are counted over all workers', { skip }, () =>
  shared('rate-limit.js', {}, async port => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(port, '/login')));
    assert.equal(count(answers, 401), 5);
    assert.equal(count(answers, 429), 15);
    assert.equal((await post(port, '/login')).status, 429);
  }),
);

test('rate-limit.js: the store keeps to what express-rate-limit asks of one', { skip }, async () => {
  const { BusStore } = require('../../examples/rate-limit');
  const [store, other] = [new BusStore({ prefix: 'a:' }), new BusStore({ prefix: 'b:' })];
  for (const each of [store, other]) each.init({ windowMs: 3_600_000 });
  assert.equal(await store.get('key'), undefined);
  await store.decrement('key');
  assert.equal(await store.get('key'), undefined);

  const before = Date.now();
  const first = await store.increment('key');
  assert.equal(first.totalHits, 1);
  assert.ok(first.resetTime >= before + 3_500_000 && first.resetTime <= Date.now() + 3_600_000);
  assert.equal((await store.increment('key')).totalHits, 2);
  assert.equal((await other.increment('key')).totalHits, 1);
  // The window begins with the first hit.
  assert.ok((await store.get('key')).resetTime <= Date.now() + 3_600_000);
  assert.equal((await store.get('key')).totalHits, 2);
  await store.decrement('key');
  assert.equal((await store.get('key')).totalHits, 1);
  await store.resetKey('key');
  assert.equal(await store.get('key'), undefined);
  assert.equal((await other.get('key')).totalHits, 1);
});

test('rate-limit.js: the limiter keeps to what rate-limiter-flexible asks of one', { skip }, async () => {
  const { RateLimiterBus } = require('../../examples/rate-limit');
  const options = { points: 2, duration: 3600, blockDuration: 7200 };
  const limiter = new RateLimiterBus({ keyPrefix: 'limiter', ...options });
  const told = ({ consumedPoints, remainingPoints, isFirstInDuration, msBeforeNext }) => [
    consumedPoints,
    remainingPoints,
    isFirstInDuration,
    Math.ceil(msBeforeNext / 3_600_000) + 0,
  ];
  assert.equal(await limiter.get('key'), null);
  assert.deepEqual(told(await limiter.consume('key')), [1, 1, true, 1]);
  assert.deepEqual(told(await limiter.consume('key')), [2, 0, false, 1]);
  assert.deepEqual(told(await limiter.consume('key').catch(refused => refused)), [3, 0, false, 2]);
  assert.deepEqual(told(await limiter.get('key')), [3, 0, false, 2]);
  assert.deepEqual(told(await limiter.reward('key', 2)), [1, 1, false, 2]);
  assert.deepEqual(told(await limiter.penalty('key', 1)), [2, 0, false, 2]);
  assert.equal(await limiter.delete('key'), true);
  assert.equal(await limiter.delete('key'), false);
  assert.equal(await limiter.get('key'), null);
  await limiter.set('key', 2, 0);
  assert.deepEqual(told(await limiter.get('key')), [2, 0, false, 0]);
  await limiter.block('other', 3600);
  assert.deepEqual(told(await limiter.consume('other').catch(refused => refused)), [4, 0, false, 1]);
  await assert.rejects(new RateLimiterBus({ ...options, keyPrefix: 'x'.repeat(2000) }).consume('key'), {
    code: 'ERR_INVALID_ARG_VALUE',
  });
});

test('rate-limit.js: of too many clients the oldest are forgotten', { skip }, async () => {
  const { BusStore } = require('../../examples/rate-limit');
  const store = new BusStore({ prefix: 'm'.repeat(900) });
  store.init({ windowMs: 3_600_000 });
  const CLIENTS = 80_000;
  for (let client = 0; client < CLIENTS; client += 1000)
    await Promise.all(Array.from({ length: 1000 }, (_, place) => store.increment(`${client + place}`)));
  assert.equal(await store.get('0'), undefined);
  assert.equal((await store.get(`${CLIENTS - 1}`)).totalHits, 1);
});

test('invalidation.js: no worker answers with what another has changed', { skip }, () =>
  shared('invalidation.js', { exits: ['SIGKILL'] }, async (port, workers, program) => {
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/user/7`, { headers: { connection: 'close' } });
      const [value, cache, worker] = [
        await response.text(),
        ...['x-cache', 'x-worker'].map(it => response.headers.get(it)),
      ];
      return { value, cache, worker };
    };
    const change = async body => {
      const { request, response } = send(port, { path: '/user/7', method: 'PUT' });
      request.end(body);
      assert.deepEqual(await response, { status: 200, body: 'changed\n' });
    };
    const all = left => askUntilAll(left, ask, ({ worker }) => worker);

    for (const name of ['Ada', 'Grace']) {
      await change(name);
      const answers = await all(WORKERS);
      assert.deepEqual([...new Set(answers.map(({ value }) => value))], [`${name}\n`]);
      const misses = answers.filter(({ cache }) => cache === 'miss');
      assert.deepEqual(misses.map(({ worker }) => worker).sort(), ['1', '2', '3', '4']);
    }
    process.kill(workers[0].pid, 'SIGKILL');
    await program.events('exit');
    await change('Edith');
    for (const { value } of await all(WORKERS - 1)) assert.equal(value, 'Edith\n');
  }),
);

test('cron.js: the job runs in one worker, and in another when that is killed or replaced', {
  skip,
}, async t => {
  const cwd = folder(t);
  const supervised = start(t, cwd, ['-i', '3', path.join(EXAMPLES, 'cron.js')], {
    env: { PORT: 0, SCHEDULE: '* * * * * *' },
  });
  const port = await supervised.port();
  /** Who has run it, each time. node-cron says besides what it has missed on a machine that is busy. */
  const runs = () =>
    supervised.lines
      .map(line => line.match(/^reports by process (\d+)$/))
      .filter(Boolean)
      .map(([, pid]) => Number(pid));
  const leaderBut = (...others) =>
    supervised.until('another leader', () => runs().find(pid => !others.includes(pid)));

  const first = await leaderBut();
  process.kill(first, 'SIGKILL');
  const second = await leaderBut(first);
  await supervised.events('ready', 4);
  assert.equal((await command(cwd, ['reload'])).code, 0);
  const third = await leaderBut(first, second);
  assert.equal((await get(port)).status, 200);
  // Nobody leads again that has let go, and nobody beside another.
  const order = runs().filter((pid, place, all) => pid !== all[place - 1]);
  assert.equal(new Set(order).size, order.length, `${order}`);
  assert.deepEqual([order[0], order[1]], [first, second]);
  assert.ok(order.includes(third));
  // A worker that has drained may be gone before the signal comes that is to end it.
  const [died, ...ends] = supervised.reports
    .filter(({ event }) => event === 'exited')
    .map(({ code, signal }) => signal ?? code);
  assert.equal(died, 'SIGKILL');
  for (const end of ends) assert.ok(end === 0 || end === 'SIGTERM', `${end}`);
});
