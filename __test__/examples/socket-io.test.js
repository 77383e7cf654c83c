'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { io } = require('socket.io-client');
const { run } = require('../support/program');
const way = require('../support/way');
const { EXAMPLES } = require('./example');

const skip = way === 'node' && "Node's own cluster has no sticky clients";

/** In ms: clients connect again for ever. */
const TIMEOUT = 120_000;

const WORKERS = 4;

for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']]) {
  test(`socket-io.js: what one client says reaches all, by ${transports.join(', then ')}`, {
    skip,
    timeout: TIMEOUT,
  }, async context => {
    const clients = [];
    const lost = [];
    const close = () => clients.forEach(client => void client.close());
    context.after(close);

    await run(path.join(EXAMPLES, 'socket-io.js'), { env: { PORT: 0, WORKERS } }, async program => {
      const [[url]] = await program.lines(/^http:.*$/);
      await program.events('listening', WORKERS);
      const homes = [];
      while (new Set(homes).size < WORKERS) {
        // Each request comes on a connection of its own: nothing but the session leads it.
        const agent = new http.Agent({ keepAlive: false });
        const client = io(url, { transports, agent, forceNew: true, reconnection: false });
        clients.push(client);
        client.once('disconnect', reason => lost.push(reason));
        const [home] = await once(client, 'welcome');
        homes.push(home);
      }
      if (transports.length > 1) {
        // The websocket too has found its session.
        const upgraded = ({ io: { engine } }) =>
          engine.transport.name === 'websocket' || once(engine, 'upgrade');
        await Promise.all(clients.map(upgraded));
      }

      for (let times = 5; times > 0; times--) {
        const heard = clients.map(client => once(client, 'said'));
        clients.at(-1).emit('say', 'hi');
        for (const said of await Promise.all(heard)) assert.deepEqual(said, ['hi', homes.at(-1)]);
      }
      assert.deepEqual(lost, [], 'sessions that ended');
      close();
    });
  });
}
