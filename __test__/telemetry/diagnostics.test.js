'use strict';

// What is published by node:diagnostics_channel, and which instance a worker is to OpenTelemetry.

const assert = require('node:assert/strict');
const { hostname } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Child } = require('../support/child');
const { run } = require('../support/program');
const { get } = require('../support/http');
const way = require('../support/way');
const { instanceOf } = require('../../lib/supervisor/instance');

const skip = way === 'node' && "Node's own cluster does not have it";

const PROGRAM = path.join(__dirname, 'programs', 'subscribed.js');

/** What stops a test that waits for what does not come. */
const LIMIT = 120_000;

const subscribed = (MODE, options, body) =>
  run('telemetry/programs/subscribed.js', { ...options, env: { MODE, ...options.env } }, body);

/** The lines of those that were told, of some. */
const told = (program, pattern) =>
  program.stdout.map(line => line.match(/^told (.*)/)?.[1]).filter(line => line?.match(pattern));

test("a worker's life", { skip }, async () => {
  await subscribed('one', { exits: [0] }, async program => {
    await program.end();
    const worker = '"worker":1,"slot":0';
    assert.deepEqual(told(program, /./), [
      `fork {${worker}}`,
      `online {${worker}}`,
      `listening {${worker},"port":"number"}`,
      `disconnect {${worker}}`,
      `exit {${worker},"code":0,"signal":null}`,
    ]);
  });
});

test('one that takes nothing, and then does', { skip }, async () => {
  await subscribed('stuck', {}, async program => {
    const [[, port]] = await program.lines(/^worker \d+ at (\d+)$/, 2);
    const [{ pid, id }] = await program.events('online', 2);
    process.kill(pid, 'SIGSTOP');
    // One of them comes to the one that stands still, and is served by the other.
    await Promise.all([get(Number(port)), get(Number(port))]);
    await program.lines(new RegExp(`^told stuck {"worker":${id},`));
    process.kill(pid, 'SIGCONT');
    await program.lines(new RegExp(`^told recovered {"worker":${id},`));
  });
});

test('the steps of a reload, and the instance of each slot', { skip }, async t => {
  // Its workers may end by themselves, or by a signal.
  const env = { MODE: 'reload', OTEL_SERVICE_NAME: 'shop', OTEL_RESOURCE_ATTRIBUTES: 'a=b' };
  const program = new Child([PROGRAM], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => program.stop());
  program.stdout = [];
  program.take(program.process.stdout, line => program.stdout.push(line));
  const instances = () => program.stdout.filter(line => line.startsWith('attributes')).sort();
  await program.until('the end of a reload', () => told(program, /^reload:end/).length > 0, LIMIT);
  await program.until('four workers', () => instances().length === 4, LIMIT);
  assert.deepEqual(told(program, /^reload/), [
    'reload:start {"name":"shop","slots":2}',
    'reload:step {"worker":3,"slot":0,"name":"shop"}',
    'reload:step {"worker":4,"slot":1,"name":"shop"}',
    'reload:end {"name":"shop","replaced":2}',
  ]);
  const instance = slot => `attributes a=b,service.instance.id=${hostname()}.shop.${slot}`;
  assert.deepEqual(instances(), [0, 0, 1, 1].map(instance));
});

test('an instance that is named, or that nobody asks for, is left as it is', () => {
  assert.deepEqual(instanceOf({ PATH: '/bin' }, 'shop', 1), {});
  for (const given of ['service.instance.id=x', 'a=b, service.instance.id = x'])
    assert.deepEqual(instanceOf({ OTEL_RESOURCE_ATTRIBUTES: given }, 'shop', 1), {});
  const { OTEL_RESOURCE_ATTRIBUTES: attributes } = instanceOf({ OTEL_SERVICE_NAME: 'x' }, 'a,b=c', 1);
  assert.equal(attributes, `service.instance.id=${hostname()}.a%2Cb%3Dc.1`);
});
