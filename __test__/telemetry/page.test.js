'use strict';

// The page without a browser: what comes from the address, and what stands there. In a browser: browser.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { parseHTML } = require('linkedom');
const { assets } = require('../../lib/telemetry/page');
const { Cluster } = require('./fake');

const PAGE = path.join(__dirname, '../../lib/telemetry/page');
const read = name => fs.readFileSync(path.join(PAGE, name), 'utf8');

/** What the page finds in a browser, as far as it goes by it. Time goes by when `elapse` is called. */
class Window {
  /** @type {EventSource[]} */
  sources = [];
  charts = [];
  #timers = new Map();
  #next = 0;
  #now = 0;

  constructor() {
    const page = this;
    this.document = parseHTML(read('index.html')).document;
    this.EventSource = class EventSource {
      static CLOSED = 2;
      readyState = 1;
      constructor(url) {
        this.url = url;
        page.sources.push(this);
      }
      close() {
        this.readyState = 2;
      }
    };
    this.uPlot = class {
      constructor(options) {
        this.options = options;
        page.charts.push(this);
      }
      setData(data) {
        this.data = data;
      }
      batch(act) {
        act();
      }
      setScale() {}
      setSize() {}
      redraw() {}
      destroy() {
        page.charts.splice(page.charts.indexOf(this), 1);
      }
    };
  }

  ResizeObserver = class {
    observe() {}
  };
  matchMedia = () => ({ addEventListener() {} });
  getComputedStyle = () => ({ getPropertyValue: () => '#000' });
  setTimeout = (act, ms) => {
    this.#timers.set(++this.#next, { act, due: this.#now + ms });
    return this.#next;
  };
  clearTimeout = timer => this.#timers.delete(timer);

  elapse(ms) {
    this.#now += ms;
    for (const [timer, { act, due }] of this.#timers) {
      if (due > this.#now) continue;
      this.#timers.delete(timer);
      act();
    }
  }

  hear(status) {
    this.sources.at(-1).onmessage({ data: JSON.stringify(status) });
  }

  at = id => this.document.getElementById(id);
  words = id => this.at(id).textContent;
  rows = id =>
    [...this.at(id).querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => cell.textContent));
}

async function open() {
  const { View } = await import('../../lib/telemetry/page/view.mjs');
  const window = new Window();
  new View(window).start();
  return window;
}

test('a row for each slot, a strip for each life, and the numbers of all', async () => {
  const window = await open();
  const cluster = new Cluster(3);
  window.hear(cluster.status);
  window.hear(cluster.second(slot => 10 * (slot + 1)).turn(2, 'stuck').status);
  const rows = window.rows('slots');
  assert.deepEqual(
    rows.map(([slot, state]) => [slot, state]),
    [
      ['0', 'ready'],
      ['1', 'ready'],
      ['2', 'stuck'],
    ],
  );
  assert.deepEqual(
    rows.map(row => row[6]),
    ['10', '20', '30'],
  );
  assert.match(window.words('now'), /Ready2 of 3/);
  assert.match(window.words('now'), /Connections\/s60/);
  const strips = [...window.at('life').querySelectorAll('svg')];
  assert.equal(strips.length, 3);
  assert.match(strips[2].getAttribute('aria-label'), /^stuck since \d\d:\d\d, 1 worker in the last 5 min/);
  assert.deepEqual(window.rows('ports'), [['127.0.0.1:8000', '60', '60', '0']]);
});

test('a slot that was scaled away leaves the table', async () => {
  const window = await open();
  const cluster = new Cluster(3);
  window.hear(cluster.status);
  cluster.status.slots.pop();
  window.hear(cluster.second().status);
  assert.equal(window.rows('slots').length, 2);
});

test('what a worker or a peer may have written is text, wherever it stands', async () => {
  const window = await open();
  const evil = '<img src=x onerror=alert(1)>';
  const cluster = new Cluster(2);
  Object.assign(cluster.status, {
    version: evil,
    node: evil,
    ready: false,
    reasons: [evil],
    exits: { [evil]: 3 },
  });
  cluster.status.acceptor.ports[0].address = evil;
  Object.assign(cluster.status.slots[0], { state: evil, worker: evil, pid: evil, slot: evil, heap: evil });
  window.hear(cluster.status);
  window.hear({ ...cluster.status, time: cluster.status.time + 1000 });
  assert.equal(window.document.querySelectorAll('img').length, 0);
  for (const id of ['state', 'about', 'now', 'slots', 'ports', 'life'])
    assert.ok(window.words(id).includes(evil), id);
});

test('our scripts make no HTML of text', () => {
  for (const name of fs.readdirSync(PAGE).filter(file => file.endsWith('.mjs')))
    assert.doesNotMatch(
      read(name),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/,
      name,
    );
});

test('nothing stands in the page that the policy forbids, and nothing is of another host', () => {
  const { document } = parseHTML(read('index.html'));
  assert.equal(document.querySelectorAll('style, script:not([src]), [style]').length, 0);
  const names = assets().map(({ path: name }) => name.slice(1));
  for (const element of document.querySelectorAll('[src], link[href]')) {
    const link = element.getAttribute('src') ?? element.getAttribute('href');
    assert.ok(names.includes(link), link);
  }
  for (const element of document.querySelectorAll('*'))
    for (const name of element.getAttributeNames()) assert.doesNotMatch(name, /^on/);
  for (const { path: name, type, bytes } of assets()) {
    assert.ok(type, name);
    if (!name.includes('uPlot'))
      assert.doesNotMatch(bytes.toString().replaceAll('http://www.w3.org', ''), /https?:\/\//, name);
  }
});

test('a table is one to a screen reader, too, and is sorted by the buttons in its head', async () => {
  const window = await open();
  const cluster = new Cluster(3);
  window.hear(cluster.status);
  window.hear(cluster.second(slot => [20, 30, 10][slot]).status);
  const table = window.at('slots').querySelector('table');
  assert.ok(table.querySelector('caption').textContent);
  const heads = [...table.querySelectorAll('thead th')];
  assert.ok(heads.every(head => head.getAttribute('scope') === 'col'));
  assert.ok(
    [...table.querySelectorAll('tbody tr > :first-child')].every(
      cell => cell.getAttribute('scope') === 'row',
    ),
  );
  const sorted = () => heads.map(head => head.getAttribute('aria-sort')).filter(Boolean);
  const order = () => window.rows('slots').map(([slot]) => slot);
  assert.deepEqual([sorted(), order()], [['ascending'], ['0', '1', '2']]);
  const button = heads.find(head => head.textContent === 'Conn./s').querySelector('button');
  button.click();
  assert.deepEqual([sorted(), order()], [['descending'], ['1', '0', '2']]);
  button.click();
  assert.deepEqual([sorted(), order()], [['ascending'], ['2', '0', '1']]);
  window.hear(cluster.second(slot => [5, 1, 9][slot]).status);
  assert.deepEqual(order(), ['1', '0', '2']);
});

test('a row stays the same element while its numbers change, so that focus and selection stay', async () => {
  const window = await open();
  const cluster = new Cluster(2);
  window.hear(cluster.status);
  const rows = [...window.at('slots').querySelectorAll('tbody tr')];
  window.at('slots').querySelector('tbody').insertBefore = () => assert.fail('a row was moved');
  window.hear(cluster.second().status);
  assert.deepEqual([...window.at('slots').querySelectorAll('tbody tr')], rows);
});

test('a change of state is said, and many at once in one sentence', async () => {
  const window = await open();
  const cluster = new Cluster(8);
  window.hear(cluster.status);
  assert.equal(window.words('news'), '');
  window.hear(cluster.turn(3, 'stuck').second().status);
  assert.equal(window.words('news'), 'slot 3 is stuck');
  // Three seconds later at the earliest.
  for (const slot of [0, 1, 2, 4]) cluster.turn(slot, 'draining');
  window.hear(cluster.second().status);
  assert.equal(window.words('news'), 'slot 3 is stuck');
  window.hear(cluster.second().second().status);
  assert.equal(window.words('news'), '4 slots are draining');
});

test('a connection that is lost is said, and tried again, until it is back', async () => {
  const window = await open();
  const cluster = new Cluster(2);
  window.hear(cluster.status);
  assert.equal(window.words('connection'), '');
  const [first] = window.sources;
  // The browser tries again by itself.
  first.readyState = 0;
  first.onerror();
  assert.match(window.words('connection'), /^The connection is lost since \d\d:\d\d:\d\d/);
  window.elapse(3000);
  assert.equal(window.sources.length, 1);
  window.hear(cluster.second().status);
  assert.equal(window.words('connection'), '');
  // It has given up, as after an answer that is an error.
  first.close();
  first.onerror();
  window.elapse(3000);
  assert.equal(window.sources.length, 2);
  window.hear(cluster.second().status);
  assert.equal(window.words('connection'), '');
});

test('a connection that says nothing, or nothing any more, is taken for lost, and no other', async () => {
  const window = await open();
  window.elapse(6000);
  assert.match(window.words('connection'), /is lost/);
  assert.equal(window.sources.length, 2);
  const cluster = new Cluster(2);
  for (let time = 0; time < 5; time++) {
    window.hear(cluster.second().status);
    window.elapse(3000);
  }
  assert.equal(window.words('connection'), '');
  window.elapse(3000);
  assert.match(window.words('connection'), /is lost/);
  assert.deepEqual(
    window.sources.map(({ readyState }) => readyState),
    [2, 2, 1],
  );
});

test('while nobody looks nothing is drawn, and all that came is there afterwards', async () => {
  const window = await open();
  const cluster = new Cluster(1);
  window.hear(cluster.status);
  Object.defineProperty(window.document, 'hidden', { value: true, configurable: true });
  for (let second = 0; second < 2000; second++) window.hear(cluster.second(() => 7).status);
  assert.equal(window.rows('slots')[0][6], '\u2013');
  Object.defineProperty(window.document, 'hidden', { value: false });
  window.document.dispatchEvent(new window.document.defaultView.Event('visibilitychange'));
  assert.equal(window.rows('slots')[0][6], '7');
  assert.equal(window.charts[0].data[0].length, 901);
});

test('Pause holds what is shown, and what came meanwhile is there afterwards', async () => {
  const window = await open();
  const cluster = new Cluster(1);
  window.hear(cluster.status);
  const pause = window.at('pause');
  pause.click();
  assert.equal(pause.getAttribute('aria-pressed'), 'true');
  window.hear(cluster.second(() => 7).status);
  assert.equal(window.rows('slots')[0][6], '\u2013');
  pause.click();
  assert.equal(window.rows('slots')[0][6], '7');
});

test('up to eight slots have a line each, and of more the highest, the middle and the lowest are drawn', async () => {
  const window = await open();
  const cluster = new Cluster(8);
  window.hear(cluster.status);
  const labels = () => window.charts[1].options.series.slice(1).map(({ label }) => label);
  assert.equal(window.charts.length, 6);
  assert.equal(labels().length, 8);
  const many = new Cluster(9);
  many.status.time += 1000;
  window.hear(many.status);
  window.hear(many.second(slot => slot + 1).status);
  assert.equal(window.charts.length, 6, 'those of before are destroyed');
  const bySlot = window.charts.find(
    ({ options, data }) => options.series.length === 4 && data[1].at(-1) === 9,
  );
  assert.deepEqual(
    bySlot.data.slice(1).map(column => column.at(-1)),
    [9, 5, 1],
  );
});

test("the plotting library is npm's file, and its licence is with it", () => {
  const folder = path.dirname(require.resolve('uplot/package.json'));
  for (const [ours, theirs] of [
    ['uPlot.iife.min.js', 'dist/uPlot.iife.min.js'],
    ['uPlot.min.css', 'dist/uPlot.min.css'],
    ['uPlot.LICENSE.txt', 'LICENSE'],
  ])
    assert.equal(read(ours), fs.readFileSync(path.join(folder, theirs), 'utf8'), ours);
  const { version } = require('uplot/package.json');
  assert.ok(read('uPlot.iife.min.js').includes(`(v${version})`));
});
