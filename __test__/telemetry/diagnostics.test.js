'use strict';

// What is published by node:diagnostics_channel, and which instance a worker is to OpenTelemetry.

const assert = require('node:assert/strict');
const net = require('node:net');
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
    // One after the other, until one has come to the one that stands still: it is served by the other then.
    const isStuck = () => told(program, new RegExp(`^stuck {"worker":${id},`)).length > 0;
    while (!isStuck()) await get(Number(port));
    await program.lines(new RegExp(`^told rescued {"worker":${id},"slot":${id - 1},"count":1}$`));
    process.kill(pid, 'SIGCONT');
    await program.lines(new RegExp(`^told recovered {"worker":${id},`));
  });
});

test('what one that is killed had not taken', { skip }, async () => {
  await subscribed('alone', { exits: ['SIGKILL'] }, async program => {
    const [[, port]] = await program.lines(/^worker 1 at (\d+)$/);
    const [{ pid }] = await program.events('online');
    process.kill(pid, 'SIGSTOP');
    const answer = get(Number(port)).catch(() => 'closed');
    // It lies in its queue, and there is no other that could have it.
    await program.lines(/^told stuck {"worker":1,/);
    assert.deepEqual(told(program, /^rescued/), []);
    process.kill(pid, 'SIGKILL');
    await program.lines(/^told rescued {"worker":1,"slot":0,"count":1}$/);
    assert.equal(await answer, 'closed');
  });
});

test('one that was asked to leave is told of, still', { skip }, async () => {
  await subscribed('alone', { exits: [0] }, async program => {
    const [[, port]] = await program.lines(/^worker 1 at (\d+)$/);
    const [{ pid }] = await program.events('online');
    process.kill(pid, 'SIGSTOP');
    const client = net.connect(port, '127.0.0.1');
    // Who has not asked to the end keeps the worker.
    client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n');
    await program.lines(/^told stuck {"worker":1,/);
    program.process.kill('SIGUSR2');
    await program.lines(/^asked to leave$/);
    process.kill(pid, 'SIGCONT');
    await program.lines(/^told recovered {"worker":1,/);
    client.end('\r\n');
    assert.match(
      Buffer.concat(await client.toArray()).toString(),
      new RegExp(`^HTTP/1.1 200 .*${pid}$`, 's'),
    );
  });
});

test('who has waited in vain for a worker with room is counted', { skip }, async () => {
  await subscribed('limited', {}, async program => {
    const [[, port]] = await program.lines(/^worker \d+ at (\d+)$/);
    const ask = () => get(Number(port)).catch(() => 'refused');
    // It is never answered, until the program ends.
    ask();
    await program.lines(/^it has one$/);
    assert.deepEqual(await Promise.all(Array.from({ length: 30 }, ask)), Array(30).fill('refused'));
    const counts = () =>
      told(program, /^refused/).map(line => {
        const { port: at, count } = JSON.parse(line.slice('refused '.length));
        assert.equal(at, Number(port));
        return count;
      });
    await program.until('all are told', () => counts().reduce((sum, count) => sum + count, 0) === 30, LIMIT);
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
