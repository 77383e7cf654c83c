'use strict';

// The programs of docs/bus.md.

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');
const { missing, startBroker } = require('../support/broker');
const { programsOf } = require('../support/document');
const { get } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');

const { names, folder } = programsOf('bus.md', ['nats']);
const skip = way === 'node' && "Node's own cluster has no bus";

test('there are four programs, and each is tried here', () =>
  assert.deepEqual(names, ['cache.js', 'cron.js', 'machine.js', 'own.js']));

test('cache.js: what one worker changes the others forget', { skip }, () =>
  run(path.join(folder, 'cache.js'), { env: { PORT: 0 } }, async program => {
    const [{ address }] = await program.events('listening', 4);
    assert.equal((await get(address.port)).body, 'changed\n');
    const lines = await program.lines(/^slot (\d) forgets user:7: slot (\d) has changed it$/, 3);
    const [[, , changer]] = lines;
    const others = ['0', '1', '2', '3'].filter(slot => slot !== changer);
    assert.deepEqual(lines.map(([, slot]) => slot).sort(), others);
  }),
);

test('cron.js: one leads after the other', { skip }, () =>
  run(path.join(folder, 'cron.js'), { exits: Array(3).fill('SIGKILL') }, async program => {
    const lines = await program.lines(/^slot (\d) sends the reports$/, 3);
    assert.deepEqual(lines.map(([, slot]) => slot).sort(), ['0', '1', '2']);
    await program.end();
    assert.equal(program.stdout.length, 3);
  }),
);

const noNats = missing('nats');
const onMachine = 'machine.js: what one machine changes the workers of another forget';

test(noNats ? `${onMachine}: skipped, ${noNats}` : onMachine, { skip: skip || Boolean(noNats) }, async t => {
  const { port } = await startBroker(t, 'nats');
  const { BroadcastChannel, bridge } = require('rust-cluster/bus');
  const { nats } = require('rust-cluster/bus/nats');
  const connection = await require('nats').connect({ port });
  const joined = bridge(nats(connection), { prefix: 'shop', machine: 'elsewhere', channels: ['changed'] });
  const changed = new BroadcastChannel('changed');
  t.after(async () => {
    changed.close();
    await joined.close();
    await connection.close();
  });
  const env = { NATS: `127.0.0.1:${port}` };
  await run(path.join(folder, 'machine.js'), { env, exits: Array(4).fill('SIGTERM') }, async program => {
    await program.events('online', 4);
    // They listen at some time.
    const again = setInterval(() => changed.postMessage('user:7'), 20);
    for (const slot of [0, 1, 2, 3])
      await program.lines(new RegExp(`^slot ${slot} forgets user:7: elsewhere has changed it$`));
    clearInterval(again);
    for (const { pid } of await program.events('online', 4)) process.kill(pid, 'SIGTERM');
  });
});

test('own.js: it is a transport', { skip }, async t => {
  const { BroadcastChannel, bridge } = require('rust-cluster/bus');
  const Own = require(path.join(folder, 'own.js'));
  const client = new EventEmitter();
  client.publish = (subject, bytes) => client.emit('told', subject, bytes);
  client.subscribe = () => {};
  const joined = bridge(new Own(client), { channels: ['x'] });
  const channel = new BroadcastChannel('x');
  t.after(() => channel.close());
  const told = once(client, 'told');
  await joined.ready();
  channel.postMessage('hello');
  const [subject, bytes] = await told;
  assert.equal(subject, 'rust-cluster.x');
  assert.ok(bytes.includes('hello'));
  await joined.close();
});
