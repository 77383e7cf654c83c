'use strict';

// Clients of Socket.IO, and what they have their workers do: for programs such as ../bus/programs/socket-io.js.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { io } = require('socket.io-client');

/** A client that knows its worker. */
async function connect(url, transports = ['websocket']) {
  // Each request of polling comes on a connection of its own: nothing but the session leads it.
  const agent = new http.Agent({ keepAlive: false });
  const client = io(url, { forceNew: true, transports, agent, reconnectionDelay: 10 });
  const [home] = await once(client, 'welcome');
  return Object.assign(client, { home });
}

/** Has the worker of a client do something with its server, and tells what came of it. */
const have = (client, ...calls) => client.emitWithAck('do', calls);

async function value(client, ...calls) {
  const { error, value } = await have(client, ...calls);
  assert.equal(error, undefined);
  return value;
}

const COUNT = [['of', '/'], ['adapter'], ['serverCount']];

/** What each of these clients hears of an event next. */
const hear = (clients, event) => Promise.all(clients.map(client => once(client, event)));

/** Who hears of an event that something brings about, until what is emitted next has come. */
async function whoHears(clients, event, by, act) {
  const heard = [];
  for (const client of clients) client.on(event, () => heard.push(client.home));
  const next = hear(clients, 'next');
  await act();
  await value(by, ['emit', 'next']);
  await next;
  for (const client of clients) client.off(event);
  return heard.sort();
}

/** A client of each worker, in the order of what they are called. `clients`: those that are to be closed at the end. */
async function oneEach(url, count, clients, transports) {
  const homes = new Map();
  while (homes.size < count) {
    const client = await connect(url, transports);
    clients.push(client);
    if (homes.has(client.home)) client.close();
    else homes.set(client.home, client);
  }
  return [...homes.keys()].sort().map(home => homes.get(home));
}

module.exports = { COUNT, connect, have, hear, oneEach, value, whoHears };
