'use strict';

const assert = require('node:assert/strict');
const { on, once } = require('node:events');
const { test } = require('node:test');
const { WebSocket } = require('ws');
const { askUntilAll } = require('../support/http');
const { example, COUNT, IDS } = require('./example');

/** A client, and what it is told. */
function connect(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  const messages = on(socket, 'message');
  const next = async () => `${(await messages.next()).value[0]}`;
  return { socket, next };
}

test('ws.js: what one client says reaches the clients of every worker', () =>
  example('ws.js', {}, async (_program, port) => {
    const clients = [];
    const greetings = await askUntilAll(COUNT, () => {
      const client = connect(port);
      clients.push(client);
      return client.next();
    });
    assert.deepEqual(
      [...new Set(greetings)].sort(),
      IDS.map(id => `you are with worker ${id}`),
    );

    const text = 'é'.repeat(70_000);
    clients[0].socket.send(text);
    const speaker = greetings[0].replace('you are with ', '');
    for (const { socket, next } of clients) {
      assert.equal(await next(), `${speaker}: ${text}`);
      socket.close();
      await once(socket, 'close');
    }
  }));
