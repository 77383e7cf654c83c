'use strict';

// What the command prints of each event.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { SILENT, WORDS, line } = require('../../lib/supervisor/output');
const { Child } = require('../support/child');
const { readSlowly } = require('../support/slow-reader');

const ROOT = path.join(__dirname, '..', '..');

/** The text of all files below a folder. */
const below = (folder, extension) =>
  fs
    .readdirSync(path.join(ROOT, folder), { recursive: true })
    .filter(name => name.endsWith(extension))
    .map(name => fs.readFileSync(path.join(ROOT, folder, name), 'utf8'))
    .join('\n');

test('every event that is reported has words, or is left out on purpose', () => {
  const core = [...below('src/supervisor', '.rs').matchAll(/(?:Report::new|about)\("([a-z-]+)"/g)];
  const here = [...below('lib/supervisor', '.js').matchAll(/event: '([a-z-]+)'/g)];
  const names = new Set([...core, ...here].map(([, name]) => name));
  // It is what --log-format json makes of an error; as text it is printed without a clock.
  names.delete('error');
  assert.ok(names.size > 25, [...names].join());
  for (const name of names) assert.ok(Object.hasOwn(WORDS, name) || SILENT.has(name), name);
});

test('the words have what the reports have', () => {
  const time = new Date(2026, 0, 2, 3, 4, 5).getTime();
  const said = {
    '03:04:05  slot 1  worker 4 (pid 7) is ready after 193 ms': {
      event: 'ready',
      slot: 1,
      worker: 4,
      pid: 7,
      after: 193,
    },
    '03:04:05  slot 1  worker 4 (pid 7) has ended (SIGKILL) after 1.5 s': {
      ...{ event: 'exited', slot: 1, worker: 4, pid: 7, signal: 'SIGKILL', uptime: 1500, expected: false },
    },
    '03:04:05  slot 0  is started again in 100 ms': { event: 'restarting', slot: 0, in: 100 },
    '03:04:05  slot 0  reload failed, the old workers stay: worker 4 exited with code 1': {
      ...{ event: 'reload-failed', slot: 0, worker: 4, pid: 7, why: 'exited with code 1' },
    },
    '03:04:05  slot 0  worker 4 already has 600 MiB when it is fresh, and the limit is 512 MiB: memory is no limit until the next reload':
      { event: 'limit-refused', slot: 0, worker: 4, limit: 'memory', value: 600 * 2 ** 20, most: 2 ** 29 },
    '03:04:05  reload: 2 workers, one after the other': { event: 'reload-started', slots: 2 },
    '03:04:05  stops in 5 s, and serves until then': { event: 'stopping', delay: 5000 },
    '03:04:05  unheard-of {"a":1} b=2': { event: 'unheard-of {"a":1}', b: 2 },
  };
  for (const [text, report] of Object.entries(said)) assert.equal(line({ time, ...report }), text);
  assert.equal(line({ time, event: 'online', worker: 1 }), undefined);
});

test('what a worker has said does nothing to a terminal', () => {
  const text = line({ event: 'not-ready', worker: 1, why: 'bad \x1b[2J\x07\x9b news' }, false);
  assert.ok(text.endsWith('worker 1 bad \\x1b[2J\\x07\\x9b news'), JSON.stringify(text));
});

test('no event prints what it does not know', () => {
  const all = {
    slot: 0,
    worker: 1,
    pid: 2,
    after: 1,
    why: 'why',
    in: 1,
    code: 1,
    signal: 'SIGTERM',
    uptime: 1,
  };
  Object.assign(all, {
    cause: 'reload',
    within: 1,
    for: 1,
    limit: 'memory',
    value: 1,
    most: 1,
    from: 1,
    to: 2,
    count: 2,
  });
  Object.assign(all, {
    slots: 1,
    replaced: 1,
    delay: 1,
    addresses: ['a'],
    workers: 1,
    version: '1',
    program: 'a',
  });
  Object.assign(all, { message: 'm', socket: 's', address: 'a', files: ['a'], doing: 'waits' });
  for (const event of Object.keys(WORDS))
    assert.doesNotMatch(line({ ...all, event }), /undefined|NaN|null/, event);
});

const printing = (...args) =>
  new Child([path.join(__dirname, 'programs', 'lines.js'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });

/** What comes of lines that are read slowly, until their end: by name, the places. */
async function slowly(child) {
  const places = {};
  child.take(child.process.stderr, text => {
    const { event, place } = JSON.parse(text);
    places[event] ??= [];
    places[event].push(place);
  });
  readSlowly(child.process.stderr);
  await child.close;
  return places;
}

const upTo = count => Array.from({ length: count }, (_, place) => place);

test('its lines stay whole among those of others, however slow their reader is', async () => {
  const all = upTo(2000);
  assert.deepEqual(await slowly(printing('one', 2000, 'other')), { one: all, other: all });
});

test('it exits when its lines are written', async () => {
  assert.deepEqual(await slowly(printing('one', 300)), { one: upTo(300) });
});

test('it exits though nobody reads its lines', async () => {
  const child = printing('one', 300);
  assert.deepEqual(await child.exit, [0, null]);
  await child.stop();
});
