'use strict';

const assert = require('node:assert/strict');
const { hostname } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const command = require('../supervisor/command');
const { get } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');
const { Collector } = require('./collector');
const { EXAMPLES } = require('./example');

const EXAMPLE = path.join(EXAMPLES, 'opentelemetry.mjs');
const REGISTER = path.join(__dirname, '..', '..', 'register.js');

/** Asks until two have answered: how often each has, by its pid. */
async function askBoth(port) {
  const counts = new Map();
  while (counts.size < 2) {
    const { body } = await get(port);
    const pid = Number(body.match(/^Hello from process (\d+)\n$/)[1]);
    counts.set(pid, (counts.get(pid) ?? 0) + 1);
  }
  return counts;
}

/** What has come of those who have answered, each as one instance: by these, as many requests as were answered. */
function assertCollected({ processes }, counts, instances) {
  const ofEach = [...counts].map(([pid, count]) => {
    const { spans, measured, instances: known } = processes.get(pid);
    assert.deepEqual([spans, measured], [count, count]);
    return [...known];
  });
  assert.deepEqual(ofEach.map(String).sort(), instances);
}

test('opentelemetry.mjs: traces and metrics of each worker, as an instance of its slot, through a reload', async t => {
  const collector = await new Collector().start(t);
  const cwd = command.folder(t);
  const options = ['--name', 'web', '-i', '2', '--import', EXAMPLE, path.join(EXAMPLES, 'server.js')];
  const supervised = command.start(t, cwd, options, { env: { ...collector.env, PORT: 0 } });
  const port = await supervised.port();
  const first = await askBoth(port);
  const { code, stderr } = await command.run(cwd, ['reload', 'web']);
  assert.equal(code, 0, stderr);
  const second = await askBoth(port);
  assert.equal(new Set([...first.keys(), ...second.keys()]).size, 4);
  // All have ended then, and have sent what they had not sent before.
  supervised.process.kill('SIGTERM');
  assert.equal(await supervised.end(), 0);
  for (const counts of [first, second])
    assertCollected(
      collector,
      counts,
      [0, 1].map(slot => `shop ${hostname()}.web.${slot}`),
    );
  assert.equal(collector.processes.size, 4, 'others than the workers have sent');
});

for (const options of [
  ['-r', REGISTER, '--import', EXAMPLE],
  ['--import', EXAMPLE, '--import', REGISTER],
])
  test(`opentelemetry.mjs: in a program of its own, ${options.map(option => path.basename(option)).join(' ')}`, async t => {
    const collector = await new Collector().start(t);
    const nodeArgs = way === 'node' ? ['--import', EXAMPLE] : options;
    const file = 'examples/programs/instrumented.mjs';
    let counts;
    const stderr = /DEP0205|--trace-deprecation/;
    await run(file, { nodeArgs, env: collector.env, exits: [0, 0], stderr }, async program => {
      const [{ address }] = await program.events('listening', 2);
      counts = await askBoth(address.port);
      program.process.kill('SIGTERM');
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    });
    assertCollected(collector, counts, ['shop own.0', 'shop own.1']);
  });
