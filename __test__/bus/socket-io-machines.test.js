'use strict';

// The adapter of Socket.IO across machines, over brokers that people run: two programs of two workers each. Workers die, whole
// machines, and the broker. The control is @socket.io/redis-adapter.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');
const { missing, startBroker } = require('../support/broker');
const { run } = require('../support/program');
const { COUNT, connect, have, hear, oneEach, value, whoHears } = require('../support/socket-io');
const way = require('../support/way');

const WORKERS = 2;
/** In ms: clients connect again for ever. */
const TIMEOUT = 120_000;
/** In ms: whoever waits for it fails the test. */
const NEVER = 1_000_000;

/** Over one client of each: machines.test.js is about all of them. */
const BROKERS = way === 'node' ? { ioredis: 'redis' } : { nats: 'nats', ioredis: 'redis' };
const notOfControl = way === 'node' && 'it is what @socket.io/redis-adapter does not do';

/** As `test`, with each client; where there is no broker for it, the name says so. */
function testAll(name, { skip = false }, body) {
  for (const [client, kind] of Object.entries(BROKERS)) {
    const lacks = missing(kind);
    const title = `${name}, over ${client}`;
    const options = { skip: skip || Boolean(lacks), timeout: TIMEOUT };
    test(lacks ? `${title}: skipped, ${lacks}` : title, options, t => body(t, client));
  }
}

/** Two machines, with a client of each worker: a1, a2, b1, b2. */
async function joined(t, client, { heartbeats, exits = {} }, body) {
  const broker = await startBroker(t, BROKERS[client]);
  const clients = [];
  t.after(() => clients.forEach(client => void client.close()));
  const machine = (name, body) => {
    const env = {
      ...{ WORKERS, MACHINE: name, CLIENT: client, AT: JSON.stringify({ port: broker.port }) },
      ...(heartbeats && { HEARTBEATS: JSON.stringify(heartbeats) }),
    };
    return run('bus/programs/socket-io.js', { env, exits: exits[name] }, async program => {
      const workers = await program.events('listening', WORKERS);
      const url = `http://127.0.0.1:${workers[0].address.port}`;
      const pids = [program.pid, ...workers.sort((one, other) => one.id - other.id).map(({ pid }) => pid)];
      await body({ program, pids, url, each: await oneEach(url, WORKERS, clients) });
    });
  };
  await machine('a', a =>
    machine('b', async b => {
      const each = [...a.each, ...b.each];
      await allKnow(each);
      await body({ broker, a, b, each, clients, machine });
      for (const client of clients) client.close();
    }),
  );
}

/** All servers know of all, and of their clients alone. */
async function allKnow(each) {
  for (const client of each) {
    while ((await value(client, ...COUNT)) !== each.length);
    while ((await value(client, ['fetchSockets'])).length !== each.length);
  }
}

const homes = sockets => sockets.map(({ home }) => home).sort();

testAll('what is emitted reaches whom it is for, on all machines', {}, (t, client) =>
  joined(t, client, {}, async ({ a, b, each, clients }) => {
    const [a1, a2, b1] = each;
    const to = (by, ...calls) => whoHears(each, 'test', by, () => value(by, ...calls, ['emit', 'test']));

    const heard = hear(each, 'test');
    await value(a1, ['emit', 'test', 1, '2', Buffer.from([3, 4]), { five: [] }]);
    assert.deepEqual(await heard, Array(4).fill([1, '2', Buffer.from([3, 4]), { five: [] }]));

    const others = await Promise.all([a.url, b.url].map(url => connect(`${url}/other`)));
    clients.push(...others);
    const heardThere = hear(others, 'test');
    assert.deepEqual(await to(b1, ['of', '/other']), []);
    assert.deepEqual(await heardThere, [[], []]);

    await b1.emitWithAck('join', ['room', 7]);
    assert.deepEqual(await to(a1, ['to', 'room']), ['b1']);
    assert.deepEqual(await to(a1, ['to', 7]), ['b1']);
    assert.deepEqual(await to(a2, ['to', 'room'], ['to', 7]), ['b1'], 'once');
    assert.deepEqual(await to(a2, ['except', 'room']), ['a1', 'a2', 'b2']);
    await value(a2, ['in', 'room'], ['socketsLeave', 'room']);
    assert.deepEqual(await to(a2, ['to', 'room']), []);

    assert.deepEqual(await to(b1, ['local']), ['b1']);
    assert.deepEqual(await to(b1, ['volatile']), ['a1', 'a2', 'b1', 'b2']);
    const broadcast = await whoHears(each, 'broadcast', b1, async () => b1.emit('broadcast', []));
    assert.deepEqual(broadcast, ['a1', 'a2', 'b2']);
  }),
);

testAll('acknowledgements come from all machines', {}, (t, client) =>
  joined(t, client, {}, async ({ each }) => {
    const [a1, a2, b1] = each;
    const ask = (by, ms, event) => have(by, ['timeout', ms], ['emitWithAck', event]);
    for (const client of each) {
      client.on('home', answer => answer(client.home));
      client.on('bytes', answer => answer(Buffer.from(client.home)));
      client.on('not b1', answer => client !== b1 && answer(client.home));
    }
    assert.deepEqual((await ask(a1, NEVER, 'home')).value.sort(), ['a1', 'a2', 'b1', 'b2']);
    const { value: bytes } = await ask(b1, NEVER, 'bytes');
    assert.ok(bytes.every(Buffer.isBuffer));
    assert.deepEqual(bytes.map(String).sort(), ['a1', 'a2', 'b1', 'b2']);
    assert.deepEqual(await have(a2, ['to', 'nobody'], ['timeout', NEVER], ['emitWithAck', 'home']), {
      value: [],
    });
    const late = await ask(a2, 5000, 'not b1');
    assert.deepEqual(late, { error: 'operation has timed out', responses: late.responses });
    assert.deepEqual(late.responses.sort(), ['a1', 'a2', 'b2']);
  }),
);

testAll('rooms, sockets and their data are those of all machines', {}, (t, client) =>
  joined(t, client, {}, async ({ each }) => {
    const [a1, a2, b1, b2] = each;
    const rooms = async by => {
      // What was said before it has been done by then.
      await value(by, ['fetchSockets']);
      return Promise.all(each.map(client => client.emitWithAck('rooms')));
    };
    await value(a1, ['socketsJoin', 'x']);
    assert.deepEqual(await rooms(a1), [['x'], ['x'], ['x'], ['x']]);
    await b1.emitWithAck('join', ['y']);
    await value(a1, ['in', 'y'], ['socketsJoin', ['z', 'w']]);
    assert.deepEqual(await rooms(a1), [['x'], ['x'], ['x', 'y', 'z', 'w'], ['x']]);
    await value(a2, ['in', b1.id], ['socketsLeave', ['x', 'w']]);
    assert.deepEqual(await rooms(a2), [['x'], ['x'], ['y', 'z'], ['x']]);

    assert.deepEqual(
      (await value(b2, ['fetchSockets'])).sort((one, other) => (one.home < other.home ? -1 : 1)),
      [
        { home: 'a1', rooms: ['x'] },
        { home: 'a2', rooms: ['x'] },
        { home: 'b1', rooms: ['y', 'z'] },
        { home: 'b2', rooms: ['x'] },
      ],
    );
    assert.deepEqual(homes(await value(a1, ['in', 'y'], ['fetchSockets'])), ['b1']);
    assert.deepEqual(homes(await value(a1, ['local'], ['fetchSockets'])), ['a1']);
    const seen = await a1.emitWithAck('handshakes');
    for (const client of each) assert.deepEqual(seen[client.home], await client.emitWithAck('handshake'));

    // Who joins on all machines is there for what is emitted next.
    const heard = hear(each, 'joined');
    await value(b1, ['socketsJoin', 'v']);
    await value(b1, ['to', 'v'], ['emit', 'joined', 1]);
    assert.deepEqual(await heard, Array(4).fill([1]));

    const gone = hear(each, 'disconnect');
    a2.emit('do', [['disconnectSockets']], () => {});
    assert.deepEqual(
      (await gone).map(([reason]) => reason),
      Array(4).fill('io server disconnect'),
    );
  }),
);

testAll('servers of all machines talk to each other', {}, (t, client) =>
  joined(t, client, {}, async ({ each }) => {
    const [a1, , , b2] = each;
    const others = each.slice(1);
    const heard = hear(others, 'hello to servers');
    const emit = () => value(a1, ['serverSideEmit', 'hello', 'world', 1]);
    assert.deepEqual(await whoHears(each, 'hello to servers', a1, emit), ['a2', 'b1', 'b2']);
    assert.deepEqual(await heard, Array(3).fill(['world', 1]));
    assert.deepEqual((await value(b2, ['serverSideEmitWithAck', 'who'])).sort(), ['a1', 'a2', 'b1']);
    const late = await have(a1, ['serverSideEmitWithAck', 'who but', 'b2']);
    assert.match(late.error, /^timeout reached: /);
    assert.deepEqual(late.responses.sort(), ['a2', 'b1']);
  }),
);

testAll('a worker that begins knows those of all machines', { skip: notOfControl }, (t, client) =>
  // Nobody is counted no more for being silent.
  joined(
    t,
    client,
    { heartbeats: { heartbeatTimeout: NEVER }, exits: { a: [0, 0] } },
    async ({ a, each }) => {
      const [a1, a2, b1, b2] = each;
      for (const client of [a1, a2]) client.on('welcome', home => Object.assign(client, { home }));
      a1.emit('reload');
      // The first thing that each does. The one that it replaces may have left before it has answered.
      await a.program.lines(/^a3 has found (a1,)?a2,b1,b2$/);
      await a.program.lines(/^a4 has found (a2,)?a3,b1,b2$/);
      await a.program.lines(/^reloaded$/);
      for (const client of [a1, a2])
        while (!client.connected || ['a1', 'a2'].includes(client.home)) await once(client, 'welcome');
      // Those who have left are known to have left.
      await allKnow([a1, a2, b1, b2]);
      assert.deepEqual(await whoHears([b1, b2], 'test', a1, () => value(a1, ['emit', 'test'])), ['b1', 'b2']);
    },
  ),
);

testAll(
  'a worker that begins while the broker is away is told of other machines by those beside it',
  {
    skip: notOfControl,
  },
  (t, client) =>
    joined(
      t,
      client,
      { heartbeats: { heartbeatTimeout: NEVER }, exits: { a: [0, 0] } },
      async ({ broker, a, each }) => {
        await broker.kill();
        await a.program.lines(/^disconnected$/);
        for (const client of a.each) client.io.reconnection(false);
        each[0].emit('reload');
        // Those that are replaced may have left.
        await a.program.lines(/^a3 counts [45]$/);
        await a.program.lines(/^a4 counts [45]$/);
        await a.program.lines(/^reloaded$/);
      },
    ),
);

const ASKED = {
  async 'serverSideEmit()'([a1]) {
    assert.deepEqual((await value(a1, ['serverSideEmitWithAck', 'die', 'b2'])).sort(), ['a2', 'b1']);
  },
  async 'emit() with acknowledgements'([a1]) {
    const answers = await value(a1, ['timeout', NEVER], ['emitWithAck', 'die', 'b2']);
    assert.deepEqual(answers.sort(), ['a1', 'a2', 'b1']);
  },
  async 'fetchSockets()'([a1], { pids }) {
    const pid = pids[2];
    process.kill(pid, 'SIGSTOP');
    const sockets = value(a1, ['timeout', NEVER], ['fetchSockets']);
    // It is asked meanwhile.
    for (let times = 3; times > 0; times--) await whoHears([a1], 'x', a1, () => value(a1, ['emit', 'x']));
    process.kill(pid, 'SIGKILL');
    assert.deepEqual(homes(await sockets), ['a1', 'a2', 'b1']);
  },
};

for (const [what, ask] of Object.entries(ASKED))
  testAll(
    `nobody waits for a worker of another machine that is killed: ${what}`,
    { skip: notOfControl },
    (t, client) =>
      joined(
        t,
        client,
        { heartbeats: { heartbeatTimeout: NEVER }, exits: { b: ['SIGKILL'] } },
        async ({ b, each }) => {
          each[3].io.reconnection(false);
          for (const client of each) client.on('die', (_who, answer) => answer(client.home));
          await ask(each, b);
          await allKnow(each.slice(0, 3));
        },
      ),
  );

testAll(
  'a machine that ends is waited for until it has been silent for too long',
  {
    skip: notOfControl,
  },
  (t, client) =>
    joined(
      t,
      client,
      { heartbeats: { heartbeatInterval: 500, heartbeatTimeout: 5000 } },
      async ({ a, b, each, machine }) => {
        for (const client of each) client.on('home', answer => answer(client.home));
        for (const client of b.each) client.io.reconnection(false);
        // Nobody there says that the others have ended.
        for (const signal of ['SIGSTOP', 'SIGKILL']) for (const pid of b.pids) process.kill(pid, signal);
        const answers = await value(a.each[0], ['timeout', NEVER], ['emitWithAck', 'home']);
        assert.deepEqual(answers.sort(), ['a1', 'a2']);
        await allKnow(a.each);
        await machine('c', c => allKnow([...a.each, ...c.each]));
      },
    ),
);

testAll(
  'when the broker is back all servers know each other at once, and nobody has waited for it',
  {
    skip: notOfControl,
  },
  (t, client) =>
    joined(
      t,
      client,
      { heartbeats: { heartbeatInterval: NEVER, heartbeatTimeout: NEVER } },
      async ({ broker, a, b, each }) => {
        await broker.kill();
        for (const { program } of [a, b]) await program.lines(/^disconnected$/);
        const emit = () => value(a.each[0], ['emit', 'test']);
        assert.deepEqual(await whoHears(a.each, 'test', a.each[0], emit), ['a1', 'a2']);
        // As when it was away for long.
        for (const client of each) await client.emitWithAck('forget');
        await broker.start();
        await allKnow(each);
        for (const by of each) {
          const everybody = await whoHears(each, 'again', by, () => value(by, ['emit', 'again']));
          assert.deepEqual(everybody, ['a1', 'a2', 'b1', 'b2']);
        }
      },
    ),
);
