'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { io } = require('socket.io-client');
const { run } = require('../support/program');
const { COUNT, EXAMPLES } = require('./example');

/** What a client is told first: the worker that it is with. */
async function connect(client) {
  const [id] = await once(client, 'welcome');
  return id;
}

/** In ms: clients connect again for ever. */
const TIMEOUT = 60_000;

for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']]) {
  test(`socket-io.js: what one client says reaches all, by ${transports.join(', then ')}`, {
    timeout: TIMEOUT,
  }, async context => {
    const clients = [];
    context.after(() => clients.forEach(client => void client.close()));

    await run(path.join(EXAMPLES, 'socket-io.js'), { env: { PORT: 0 } }, async program => {
      const [[url]] = await program.lines(/^http:.*$/);
      await program.events('online', COUNT);
      const homes = [];
      while (new Set(homes).size < COUNT) {
        // Each has connections of its own, as clients in different places have. One whose second request is
        // faster than the worker's word to the primary of its session connects again, as these clients do.
        const agent = new http.Agent({ keepAlive: true });
        const client = io(url, { transports, agent, forceNew: true, reconnectionDelay: 20 });
        clients.push(client);
        homes.push(await connect(client));
      }

      const heard = clients.map(client => once(client, 'said'));
      clients.at(-1).emit('say', 'hi');
      for (const said of await Promise.all(heard)) assert.deepEqual(said, ['hi', homes.at(-1)]);
    });
  });
}
