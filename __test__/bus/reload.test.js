'use strict';

// Leadership through a reload of the real command.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { folder, run, start } = require('../supervisor/command');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has no bus";

const BUS = path.join(__dirname, '..', '..', 'bus.js');

/** Who leads counts itself: nobody else may. Told to stop, it takes its time. */
const PROGRAM = `
const { leader, store } = require(${JSON.stringify(BUS)});
const { setImmediate: turn } = require('node:timers/promises');
require('node:http').createServer().listen(0, '127.0.0.1');
leader('jobs', async signal => {
  const { value } = await store.increment('leaders');
  console.log(JSON.stringify({ leads: process.pid, value }));
  if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve));
  for (let i = 0; i < 20; i++) await turn();
  const { value: left } = await store.increment('leaders', { by: -1 });
  console.log(JSON.stringify({ letGo: process.pid, left }));
}).catch(reason => {
  if (reason.name !== 'AbortError') throw reason;
});
`;

test('through a reload one leads at a time, and a new worker once the old ones have let go', {
  skip,
}, async t => {
  const cwd = folder(t, { 'app.js': PROGRAM });
  const supervised = start(t, cwd, ['--workers', '3', 'app.js']);
  await supervised.port();
  const leading = pids => supervised.reports.find(({ leads }) => leads && !pids.includes(leads));
  const { leads: first } = await supervised.until('a leader', () => leading([]));
  const old = supervised.reports.filter(({ event }) => event === 'ready').map(({ pid }) => pid);
  assert.ok(old.includes(first), `${first} is none of ${old}`);
  assert.equal((await run(cwd, ['reload'])).code, 0);
  await supervised.until('a new leader', () => leading(old));
  const said = supervised.reports.filter(({ leads, letGo }) => leads || letGo);
  for (const { leads, value, letGo, left } of said) {
    if (leads) assert.equal(value, 1, `${leads} leads beside another`);
    else assert.equal(left, 0, `another leads when ${letGo} lets go`);
  }
});
