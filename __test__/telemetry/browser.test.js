'use strict';

// The live view in a browser. SCREENSHOTS=FOLDER keeps what it looks like there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { browse, found } = require('../support/browser');
const { folder, start, SERVER } = require('../supervisor/command');
const { Cluster, fake } = require('./fake');

const skip = !found && 'there is no Chromium on the PATH';
const { SCREENSHOTS } = process.env;
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** Five minutes in the life of a cluster: a stuck worker, a reload, a crash. */
function live(cluster, tell) {
  const { slots } = cluster.status;
  for (let second = 0; second < 280; second++) {
    if (second === 60) cluster.turn(1, 'stuck');
    if (second === 90) cluster.replace(1, 'killed');
    if (second === 95) cluster.turn(1, 'ready');
    const slot = Math.floor((second - 150) / 12);
    const step = { 0: 'draining', 9: 'ready' }[(second - 150) % 12];
    if (slot >= 0 && slot < 4 && step) cluster.turn(slot, step);
    if (slot >= 0 && slot < 4 && (second - 150) % 12 === 6) cluster.replace(slot, 'reload');
    if (second === 220) cluster.turn(2, 'empty');
    if (second === 240) cluster.replace(2, 'crashed');
    if (second === 243) cluster.turn(2, 'ready');
    for (const each of slots) {
      each.lag = 0.0004 + 0.004 * Math.abs(Math.sin(second * (each.slot + 1))) ** 20;
      each.rss += 150_000 * (1 + Math.sin(second / 9 + each.slot));
    }
    const wave = Math.sin(second / 40);
    cluster.second(
      each => Math.round(200 + 60 * wave + 20 * Math.sin(second / 7 + each)),
      4e-5 * (1.5 + wave),
    );
    tell();
  }
}

/** Opens the page of a cluster anew, so that all that it complains about is seen: what is expected, and nothing else. */
async function view(server, look, body, expected = []) {
  await browse(`http://${server.address}/`, look, async (page, errors) => {
    const hosts = new Set();
    page.on('console', message => message.type() === 'error' && errors.push(message.text()));
    page.on('request', request => hosts.add(new URL(request.url()).host));
    await page.reload();
    await page.locator('#slots tbody tr').first().waitFor();
    await body(page);
    assert.deepEqual(errors, expected);
    assert.deepEqual([...hosts], [server.address]);
  });
}

/** Until the page shows what the cluster is now. */
const shown = (page, cluster) =>
  page.waitForFunction(
    accepted => document.getElementById('now').textContent.includes(`${accepted} accepted`),
    cluster.status.acceptor.accepted.toLocaleString('en-US'),
  );

const LOOKS = {
  'live-light': { width: 1024, height: 720, scheme: 'light' },
  'live-dark': { width: 1024, height: 720, scheme: 'dark' },
  'live-narrow-light': { width: 360, height: 740, scheme: 'light' },
  'live-narrow-dark': { width: 360, height: 740, scheme: 'dark' },
};

for (const [name, look] of Object.entries(LOOKS)) {
  test(`${name}: five minutes are drawn, under a strict policy, and with nothing for axe to find`, {
    skip,
  }, async t => {
    const cluster = new Cluster(4);
    const server = await fake(t, cluster);
    await view(server, look, async page => {
      live(cluster, () => server.tell());
      await shown(page, cluster);
      const drawn = await page.locator('.plot canvas').evaluateAll(canvases =>
        canvases.map(canvas => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return data.some(value => value > 0);
        }),
      );
      assert.deepEqual(drawn, Array(6).fill(true));
      const strips = await page
        .locator('#life svg')
        .evaluateAll(all => all.map(svg => svg.childElementCount));
      assert.deepEqual(strips, [4, 7, 7, 4]);
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(tooWide <= 0, `the page is ${tooWide} pixels wider than its window`);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(
        violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]),
        [],
      );
      if (SCREENSHOTS) {
        fs.mkdirSync(SCREENSHOTS, { recursive: true });
        await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
      }
    });
  });
}

test('with the keyboard alone: the order of what is reached, and a column that is sorted', {
  skip,
}, async t => {
  const cluster = new Cluster(3);
  const server = await fake(t, cluster);
  await view(server, LOOKS['live-light'], async page => {
    cluster.second(slot => [20, 30, 10][slot]);
    server.tell();
    await shown(page, cluster);
    const focused = () =>
      page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    const reached = [];
    for (let press = 0; press < 5; press++) {
      await page.keyboard.press('Tab');
      reached.push(await focused());
    }
    assert.deepEqual(reached, ['To the table of slots', 'window', 'pause', 'slots', 'Slot']);
    while ((await focused()) !== 'Conn./s') await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const order = () => page.locator('#slots tbody th').allTextContents();
    assert.deepEqual(await order(), ['1', '0', '2']);
    cluster.second(slot => [20, 10, 30][slot]);
    server.tell();
    await shown(page, cluster);
    assert.deepEqual(await order(), ['2', '0', '1']);
    assert.equal(await focused(), 'Conn./s');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid');
  });
});

test('a connection that is lost is said, and so is that it is back', { skip }, async t => {
  const cluster = new Cluster(2);
  const server = await fake(t, cluster);
  const body = async page => {
    const status = page.locator('#connection');
    server.hangUp();
    await status.getByText(/The connection is lost since/).waitFor();
    cluster.second();
    await page.waitForFunction(() => document.getElementById('connection').textContent === '');
    await shown(page, cluster);
  };
  await view(server, LOOKS['live-light'], body, [
    'Failed to load resource: net::ERR_INCOMPLETE_CHUNKED_ENCODING',
  ]);
});

test('the thread that answers serves it, and a worker that is stopped and killed is seen there', {
  skip,
}, async t => {
  const cwd = folder(t, { 'app.js': SERVER });
  const supervised = start(t, cwd, ['--name', 'live', '-i', '2', '--metrics', '127.0.0.1:0', 'app.js']);
  const workers = await supervised.events('ready', 2);
  await supervised.events('all-ready');
  const { host, port } = JSON.parse(
    fs.readFileSync(path.join(cwd, '.runtime/rust-cluster/live.telemetry'), 'utf8'),
  );
  await view({ address: `${host}:${port}` }, LOOKS['live-light'], async page => {
    const state = page.locator('#slots tbody tr').first().locator('td').first();
    await state.getByText('ready').waitFor();
    const { pid } = workers.find(({ slot }) => slot === 0);
    process.kill(pid, 'SIGSTOP');
    await state.getByText('stuck').waitFor();
    process.kill(pid, 'SIGKILL');
    await state.getByText('ready').waitFor();
    await page.locator('#now').getByText('SIGKILL 1').waitFor();
    assert.ok((await page.locator('#life svg').first().locator('rect').count()) >= 2);
  });
});
