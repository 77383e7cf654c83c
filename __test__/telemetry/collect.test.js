'use strict';

// The application's own metrics: what its workers count is one number, which never goes down.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { run } = require('../support/program');
const { get } = require('../support/http');
const way = require('../support/way');
const { ask, samples } = require('./client');

const skip = way === 'node' && "Node's own cluster does not have it";

const REQUESTS = 'app_requests_total';

/** A cluster that counts, and where its telemetry and its server are. */
function counting({ how, workers = 2, env, ...options }, body) {
  const all = { HOW: how, WORKERS: workers, TELEMETRY: '{ "port": 0 }', ...env };
  return run('telemetry/programs/counting.js', { env: all, ...options }, async program => {
    const [[, address]] = await program.lines(/^telemetry (.*)/);
    const [[, port]] = await program.lines(/^worker \d+ at (\d+)$/, workers);
    await body({ program, where: { port: JSON.parse(address)?.port }, port: Number(port) });
  });
}

/** What there is now. */
const scrape = async where => samples((await ask(where, '/metrics')).body);

/** What there is once it is so: a reader gets what is there, and the next time what it has asked for. */
async function scraped(where, isSo) {
  for (;;) {
    const figures = await scrape(where);
    if (isSo(figures)) return figures;
  }
}

const counted = count => figures => figures.get(REQUESTS) === count;

for (const how of ['default', 'register', 'promise', 'text']) {
  test(`${how}: the requests of all workers are one number`, { skip }, async () => {
    await counting({ how }, async ({ where, port }) => {
      for (let round = 1; round <= 3; round++) {
        for (let count = 0; count < 4; count++) await get(port);
        await scraped(where, counted(4 * round));
      }
      const figures = await scraped(where, all => all.get('cluster_worker_metrics_up{slot="1"}') === 1);
      assert.ok(figures.get('cluster_worker_metrics_age_seconds{slot="1"}') < 3);
      assert.equal(figures.get('cluster_worker_metrics_refused_total'), 0);
      if (how === 'text') return;
      assert.equal(figures.get('app_size_bucket{le="1"}'), 0);
      assert.equal(figures.get('app_size_bucket{le="10"}'), 12);
      assert.equal(figures.get('app_size_sum'), 60);
      assert.equal(figures.get('app_slot{slot="0"}'), 0);
      assert.equal(figures.get('app_slot{slot="1"}'), 1);
    });
  });
}

test("prom-client's own aggregator answers beside it", { skip }, async () => {
  await counting({ how: 'default' }, async ({ program, where, port }) => {
    for (let count = 0; count < 3; count++) await get(port);
    await get(port, '/aggregate');
    await program.lines(/^aggregated 4$/);
    await scraped(where, counted(4));
  });
});

test('what killed workers have counted stays, and no reader sees less than before', { skip }, async () => {
  const exits = Array(6).fill('SIGKILL');
  await counting({ how: 'register', env: { REPLACE: 1 }, exits }, async ({ program, where, port }) => {
    let seen = 0;
    let ended = false;
    const watch = async () => {
      while (!ended) {
        const { [REQUESTS]: now = 0 } = Object.fromEntries(await scrape(where));
        assert.ok(now >= seen, `${now} after ${seen}`);
        seen = now;
      }
    };
    const watching = watch();
    let answered = 0;
    for (let round = 1; round <= 6; round++) {
      const pids = [];
      for (let count = 0; count < 4; count++) pids.push(Number((await get(port)).body));
      answered += 4;
      await scraped(where, counted(answered));
      process.kill(pids[0], 'SIGKILL');
      await program.lines(/^worker \d+ at/, 2 + round);
      assert.equal((await scrape(where)).get(REQUESTS), answered);
    }
    ended = true;
    await watching;
  });
});

for (const [how, url] of [
  ['default', '/leave'],
  ['text', '/leave'],
  ['text', '/exit'],
]) {
  test(`${how}: what a worker has counted by its ${url} is there, though nobody had asked`, {
    skip,
  }, async () => {
    await counting({ how, exits: [0, 0] }, async ({ program, where, port }) => {
      for (let count = 0; count < 10; count++) await get(port);
      await get(port, url);
      await program.events('exit', 1);
      await get(port, url);
      await program.events('exit', 2);
      const figures = await scrape(where);
      assert.equal(figures.get(REQUESTS), 12);
      assert.ok(![...figures.keys()].some(name => name.startsWith('app_slot')));
    });
  });
}

test('who stands still, and a primary that spins, keep nobody waiting', { skip }, async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const FLAG = path.join(folder, 'flag');
  await counting({ how: 'default', env: { FLAG } }, async ({ where, port }) => {
    const { body: pid } = await get(port, '/set');
    await get(port);
    const all = await scraped(where, counted(2));
    const slot = all.get('app_slot{slot="0"}') === 100 ? 0 : 1;
    process.kill(Number(pid), 'SIGSTOP');
    const isUp = `cluster_worker_metrics_up{slot="${slot}"}`;
    const late = await scraped(where, figures => figures.get(isUp) === 0);
    assert.equal(late.get(REQUESTS), 2);
    assert.equal(late.get(`app_slot{slot="${slot}"}`), 100);
    assert.equal(late.get(`cluster_worker_metrics_up{slot="${1 - slot}"}`), 1);
    process.kill(Number(pid), 'SIGCONT');
    await scraped(where, figures => figures.get(isUp) === 1);

    await get(port, '/spin');
    await get(port);
    await get(port);
    await scraped(where, counted(5));
    fs.writeFileSync(FLAG, '');
  });
});

test('nonsense is left out and told, and the cluster is there', { skip }, async () => {
  const stderr = /ERR_RUST_CLUSTER_METRICS_LEFT_OUT|--trace-warnings/;
  await counting({ how: 'nonsense', stderr }, async ({ where }) => {
    const refused = figures => figures.get('cluster_worker_metrics_refused_total') >= 2;
    const figures = await scraped(where, refused);
    assert.equal(figures.get(REQUESTS), undefined);
    assert.equal(figures.get('cluster_worker_metrics_up{slot="0"}'), 0);
    assert.equal(figures.get('cluster_workers{state="ready"}'), 2);
  });
});

test('who says too much is left out in part, which is told, and others do not notice', { skip }, async () => {
  const stderr = /ERR_RUST_CLUSTER_METRICS_LEFT_OUT|--trace-warnings/;
  await counting({ how: 'hostile', workers: 3, stderr }, async ({ program, where, port }) => {
    const dropped = slot => `cluster_worker_metrics_dropped_total{slot="${slot}"}`;
    const isDropping = figures => figures.get(dropped(0)) > 0 && figures.get(dropped(1)) > 0;
    await scraped(where, isDropping);
    for (let round = 1; round <= 3; round++) {
      for (let count = 0; count < 6; count++) await get(port);
      // Of those who say too much as well.
      const figures = await scraped(where, counted(6 * round));
      assert.equal(figures.get(dropped(2)), 0);
      for (let count = 0; count < 10; count++) assert.equal((await ask(where, '/livez')).status, 200);
    }
    const told = () => program.stderr.filter(line => line.includes('METRICS_LEFT_OUT'));
    await program.until('a warning of each', () => told().length >= 2);
    await scraped(where, counted(18));
    assert.equal(told().length, 2);
    assert.match(told().join('\n'), /worker \d+ has counted .* \(\d+ of them: /);
  });
});

test('a source that fails is told once', { skip }, async () => {
  const stderr = /ERR_RUST_CLUSTER_NO_METRICS|--trace-warnings|^Source: no such database/;
  await counting({ how: 'failing', workers: 1, stderr }, async ({ program, where }) => {
    await scrape(where);
    const told = () => program.stderr.filter(line => line.includes('no such database'));
    await program.until('a warning', () => told().length > 0);
    for (let count = 0; count < 20; count++) await scrape(where);
    assert.equal(told().length, 1);
  });
});

test('without telemetry, and in no worker, collect() does nothing', { skip }, async () => {
  await counting({ how: 'register', env: { TELEMETRY: '' } }, async ({ port }) => {
    assert.equal((await get(port)).status, 200);
  });
  const { collect } = require('../../telemetry');
  assert.equal(collect({ metrics: () => '' }), undefined);
  for (const source of [undefined, null, 'text', {}, { metrics: 'text' }])
    assert.throws(() => collect(source), { code: 'ERR_INVALID_ARG_TYPE' });
});
