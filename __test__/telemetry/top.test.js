'use strict';

// rust-cluster top: what it shows, in terminals of all sizes, and that it leaves them as they were. How it is asked for:
// supervisor/top.test.js.

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { PassThrough } = require('node:stream');
const { test } = require('node:test');
const { stripVTControlCharacters } = require('node:util');
const { readStatus } = require('../../lib/telemetry/client');
const { textOf } = require('../../lib/telemetry/setting');
const { Screen } = require('../../lib/telemetry/screen');
const { top } = require('../../lib/telemetry/top');
const { Cluster, fake } = require('./fake');

const copy = value => structuredClone(value);

/** A screen that has seen a cluster for two seconds. */
async function screenOf(cluster, colours = false) {
  const screen = await Screen.make(colours);
  screen.add(copy(cluster.status));
  screen.add(copy(cluster.second().status));
  return screen;
}

/** The row of a slot: what stands in which column. */
function row(lines, slot) {
  const at = lines.findIndex(line => /^slot /.test(line));
  const heads = lines[at].split(/ {2,}/);
  const cells = lines.slice(at + 1).find(line => line.trim().split(' ')[0] === `${slot}`);
  return Object.fromEntries(
    cells
      .trim()
      .split(/ {2,}/)
      .map((cell, index) => [heads[index], cell]),
  );
}

const placeOf = ({ address }) => {
  const [host, port] = address.split(':');
  return { host, port: Number(port) };
};

test('all that there is stands in a terminal that is wide enough', async () => {
  const cluster = new Cluster(3);
  cluster.status.exits = { crash: 2 };
  cluster.turn(2, 'stuck');
  const lines = (await screenOf(cluster)).lines(Infinity, Infinity);
  assert.match(lines[0], /^rust-cluster 0\.1\.0 {2}pid 4100 {2}up 2 s {2}ready$/);
  assert.match(lines[1], /^200 connections\/s {2}50 open {2}0 waiting {2}0 queued {2}accept to worker 37\.5/);
  assert.match(lines[2], /^2 of 3 ready {2}3 starts {2}2 exits \(crash 2\) {2}1 stuck {2}0 taken back$/);
  assert.match(lines[3], /primary lag 200 .s {2}primary CPU 2% {2}acceptor CPU 1%/);
  const { state, pid, 'conn/s': rate, share, rss } = row(lines, 1);
  assert.deepEqual([state, pid, rate, share, rss], ['ready', '4102', '100', '50%', '60 MiB']);
  assert.equal(row(lines, 2).state, 'stuck');
});

test('no line is longer than the terminal, and there are no more than it has, however small it is', async () => {
  const cluster = new Cluster(40);
  Object.assign(cluster.status, {
    ready: false,
    reasons: Array(9).fill('slot 17 is stuck in a very long sentence'),
  });
  const screen = await screenOf(cluster);
  screen.lose('x'.repeat(300));
  for (const columns of [1, 5, 20, 40, 80, 132, 200]) {
    for (const rows of [1, 2, 8, 24, 100]) {
      const lines = screen.lines(columns, rows);
      assert.ok(lines.length <= rows, `${lines.length} lines of ${rows}`);
      for (const line of lines) assert.ok(line.length <= columns, `${columns}: ${line}`);
    }
  }
});

test('a narrow terminal has the columns that matter most, in their order', async () => {
  const screen = await screenOf(new Cluster(2));
  const heads = columns => screen.lines(columns, 24).find(line => /^slot/.test(line));
  assert.deepEqual(heads(16).split(/ {2,}/), ['slot', 'state']);
  assert.deepEqual(heads(19).split(/ {2,}/), ['slot', 'state', 'conn/s']);
  assert.deepEqual(heads(80).split(/ {2,}/).slice(0, 4), ['slot', 'state', 'for', 'pid']);
});

test('colours only where they are wanted: none of what is shown is told by them alone', async () => {
  const cluster = new Cluster(2).turn(1, 'stuck');
  const plain = (await screenOf(cluster)).lines(120, 24).join('\n');
  assert.equal(stripVTControlCharacters(plain), plain);
  const coloured = (await screenOf(cluster, true)).lines(120, 24).join('\n');
  assert.ok(coloured.includes('\x1b[31mstuck\x1b[0m'));
  assert.match(plain, /stuck.*!/);
});

test('what a terminal would obey is not written, whoever has said it', async () => {
  const evil = 'x\x1b[2J\x07\r\n\u202e';
  const cluster = new Cluster(1);
  Object.assign(cluster.status, { version: evil, reasons: [evil], exits: { [evil]: 1 } });
  Object.assign(cluster.status.slots[0], { state: evil, pid: evil });
  for (const columns of [40, Infinity]) {
    const text = (await screenOf(cluster)).lines(columns, Infinity).join('\n');
    assert.doesNotMatch(text, /(?!\n)\p{C}/u);
  }
});

test("a slot's last two minutes are letters, the worst state of each five seconds", async () => {
  const cluster = new Cluster(1);
  const screen = await Screen.make(false);
  const live = seconds => {
    for (let second = 0; second < seconds; second++) screen.add(copy(cluster.second().status));
  };
  live(30);
  cluster.turn(0, 'stuck');
  live(10);
  cluster.replace(0);
  live(5);
  cluster.turn(0, 'ready');
  live(20);
  const lines = screen.lines(Infinity, Infinity);
  assert.match(lines.at(-1), /\.{11}={5,6}!{2,3}\+{1,2}={4,5}$/);
});

test('it is drawn in place, scrolls, and leaves the terminal as it was', async t => {
  const cluster = new Cluster(40);
  const server = await fake(t, cluster);
  const terminal = new Terminal();
  const done = top(placeOf(server), { ...terminal.streams, colours: false });
  await terminal.shows(/^ {3}0 {2}ready/m);
  assert.equal(terminal.input.isRaw, true);
  assert.ok(terminal.said.startsWith('\x1b[?1049h\x1b[?25l'));
  assert.ok(!terminal.said.includes('\x1b[2J'), 'nothing is wiped before it is written anew');
  terminal.type('\x1b[6~jj');
  await terminal.shows(/^slot.*\n\s*12 {2}ready/m);
  terminal.output.columns = 16;
  terminal.output.emit('resize');
  await terminal.shows(/^slot {2}state\s*$/m);
  terminal.type('q');
  await done;
  assert.equal(terminal.input.isRaw, false);
  assert.ok(terminal.said.endsWith('\x1b[?25h\x1b[?1049l'));
});

for (const [name, key] of Object.entries({ 'Ctrl-C': '\x03', 'Ctrl-D': '\x04' })) {
  test(`${name} ends it, too`, async t => {
    const server = await fake(t, new Cluster(1));
    const terminal = new Terminal();
    const done = top(placeOf(server), { ...terminal.streams, colours: false });
    await terminal.shows(/ready/);
    terminal.type(key);
    await done;
    assert.ok(terminal.said.endsWith('\x1b[?25h\x1b[?1049l'));
  });
}

for (const end of [
  ({ output }) => output.destroy(new Error('write EIO')),
  ({ input }) => input.destroy(new Error('read EIO')),
  ({ input }) => input.end(),
])
  test(`a terminal that has gone ends it, and nothing of it is left: ${end}`, async t => {
    const server = await fake(t, new Cluster(1));
    const terminal = new Terminal();
    const listeners = () => ['SIGTERM', 'SIGINT', 'SIGHUP'].map(signal => process.listenerCount(signal));
    const before = listeners();
    const done = top(placeOf(server), { ...terminal.streams, colours: false });
    await terminal.shows(/ready/);
    end(terminal);
    await done;
    assert.deepEqual(listeners(), before);
  });

test('it says that there is no answer any more, and goes on when there is', async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'telemetry.sock');
  const cluster = new Cluster(2);
  const first = await fake(t, cluster, file);
  const terminal = new Terminal();
  const done = top({ path: file }, { ...terminal.streams, colours: false });
  await terminal.shows(/2 of 2 ready/);
  await first.close();
  await terminal.shows(/^No answer since \d\d:\d\d:\d\d: {2}(ENOENT|ECONNREFUSED)/m);
  cluster.second();
  await fake(t, cluster, file);
  await terminal.shows(/^rust-cluster/);
  terminal.type('q');
  await done;
});

test('without a terminal it is written once, or as JSON', async t => {
  const cluster = new Cluster(2);
  const server = await fake(t, cluster);
  const write = async how => {
    const output = new PassThrough();
    await top(placeOf(server), { ...how, output, colours: false });
    return output.read().toString();
  };
  const text = await write({});
  assert.match(text, /^rust-cluster 0\.1\.0/);
  assert.match(text, /^slot {2}state/m);
  assert.equal(stripVTControlCharacters(text), text);
  assert.deepEqual(server.asked, ['/status', '/status']);
  assert.deepEqual(JSON.parse(await write({ json: true })), cluster.status);
});

test('whatever else answers is an error, and so is nobody', async t => {
  const answers = {
    '/404': response => response.writeHead(404).end(),
    '/text': response => response.end('hello'),
    '/other': response => response.end('{"time":1}'),
    '/null': response => response.end('null'),
    '/cut': response => {
      response.writeHead(200, { 'Content-Length': 100 });
      response.end('{');
    },
  };
  for (const [name, answer] of Object.entries(answers)) {
    const server = http.createServer((_, response) => answer(response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const place = { host: '127.0.0.1', port: server.address().port };
    await assert.rejects(readStatus(place), { code: 'ERR_RUST_CLUSTER_NO_STATUS' }, name);
  }
  await assert.rejects(readStatus({ path: path.join(os.tmpdir(), 'rust-cluster-nobody', 'x.sock') }), {
    code: 'ERR_RUST_CLUSTER_NO_STATUS',
    message: /ENOENT/,
  });
  assert.equal(textOf({ host: '::1', port: 80 }), '[::1]:80');
});

/** A terminal of 80 columns and 20 lines, and what it shows. */
class Terminal {
  said = '';
  #changed = new EventEmitter();

  constructor() {
    const input = Object.assign(new PassThrough(), { isTTY: true, isRaw: false });
    input.setRawMode = isRaw => Object.assign(input, { isRaw });
    const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 20 });
    output.setEncoding('utf8').on('data', text => {
      this.said += text;
      this.#changed.emit('change');
    });
    Object.assign(this, { input, output, streams: { input, output } });
  }

  type(keys) {
    this.input.write(keys);
  }

  /** Until what was drawn last is like that. */
  async shows(pattern) {
    const last = () =>
      stripVTControlCharacters(this.said.slice(this.said.lastIndexOf('\x1b[H'))).replaceAll('\r', '');
    while (!pattern.test(last())) await once(this.#changed, 'change');
  }
}
