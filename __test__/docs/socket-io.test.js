'use strict';

// The programs of docs/socket.io.md.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');
const { io } = require('socket.io-client');
const { missing, startBroker } = require('../support/broker');
const { programsOf } = require('../support/document');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has no bus";
/** In ms: clients connect again for ever. */
const TIMEOUT = 120_000;
const WORKERS = 4;
const { names, folder } = programsOf('socket.io.md', ['ioredis', 'socket.io']);

test('all programs of the document are here', () => assert.deepEqual(names, ['server.js', 'machine.js']));

/** Runs a program, and gets clients of it. */
const serve = (t, name, env, body) =>
  run(path.join(folder, name), { env: { PORT: 0, ...env } }, async program => {
    const [{ address }] = await program.events('listening', WORKERS);
    await body(async () => {
      const client = io(`http://127.0.0.1:${address.port}`, { forceNew: true });
      t.after(() => client.close());
      await once(client, 'connect');
      return client;
    });
  });

const hear = clients => Promise.all(clients.map(client => once(client, 'said')));

test('server.js: what one client says reaches all', { skip, timeout: TIMEOUT }, t =>
  serve(t, 'server.js', {}, async connect => {
    const clients = await Promise.all(Array.from({ length: 8 }, connect));
    const heard = hear(clients);
    clients[0].emit('say', 'hi');
    assert.deepEqual(await heard, Array(8).fill(['hi']));
    for (const client of clients) client.close();
  }),
);

const lacks = missing('redis');
const onMachine = 'machine.js: what a client of one machine says reaches those of another';
test(lacks ? `${onMachine}: skipped, ${lacks}` : onMachine, {
  skip: skip || Boolean(lacks),
  timeout: TIMEOUT,
}, async t => {
  const env = { REDIS: `redis://127.0.0.1:${(await startBroker(t, 'redis')).port}` };
  await serve(t, 'machine.js', env, connectHere =>
    serve(t, 'machine.js', env, async connectThere => {
      const clients = [await connectHere(), await connectThere()];
      const [here, there] = clients;
      let heard = false;
      const first = once(there, 'said').then(() => {
        heard = true;
      });
      // Who speaks before the machines are joined is not heard there.
      while (!heard) {
        const said = once(here, 'said');
        here.emit('say', 'hi');
        await said;
      }
      await first;
      for (const client of clients) client.close();
    }),
  );
});
