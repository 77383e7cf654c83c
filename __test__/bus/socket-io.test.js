'use strict';

// The adapter of Socket.IO over the bus: what one worker emits reaches the clients of all. Node's cluster with
// @socket.io/cluster-adapter is the control.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');
const { run } = require('../support/program');
const { COUNT, connect, have, hear, oneEach, value, whoHears } = require('../support/socket-io');
const way = require('../support/way');

const WORKERS = 3;
/** In ms: clients connect again for ever. */
const TIMEOUT = 120_000;
/** In ms: whoever waits for it fails the test. */
const NEVER = 1_000_000;

const skip = way === 'node' && 'it is what @socket.io/cluster-adapter does not do';

/** Runs the program with a client of each worker, in the order of the workers' ids. */
function served(context, options, body) {
  const clients = [];
  const { transports, env, ...rest } = options;
  context.after(() => clients.forEach(client => void client.close()));
  return run('bus/programs/socket-io.js', { env: { WORKERS, ...env }, ...rest }, async program => {
    const [{ address }] = await program.events('listening', WORKERS);
    const url = `http://127.0.0.1:${address.port}`;
    const each = await oneEach(url, WORKERS, clients, transports);
    for (const client of each) {
      // The control has nobody ask who is there.
      if (way === 'node') while ((await value(client, ...COUNT)) < WORKERS);
      // Those that were closed are gone, and all know of all.
      else while ((await value(client, ['fetchSockets'])).length > WORKERS);
    }
    await body({ program, url, each, clients });
    for (const client of clients) client.close();
  });
}

test('what is emitted reaches whom it is for', { timeout: TIMEOUT }, t =>
  served(t, {}, async ({ each, url, clients }) => {
    const [first, second, third] = each;

    await t.test('all clients, with bytes', async () => {
      const heard = hear(each, 'test');
      await value(first, ['emit', 'test', 1, '2', Buffer.from([3, 4])]);
      assert.deepEqual(await heard, Array(3).fill([1, '2', Buffer.from([3, 4])]));
    });

    await t.test('all clients of a namespace', async () => {
      const others = await Promise.all(each.map(() => connect(`${url}/other`)));
      clients.push(...others);
      const heard = hear(others, 'test');
      const emit = () => value(first, ['of', '/other'], ['emit', 'test', 'other']);
      assert.deepEqual(await whoHears(each, 'test', first, emit), []);
      assert.deepEqual(await heard, Array(3).fill(['other']));
    });

    await t.test('those in a room, and those who are not', async () => {
      await second.emitWithAck('join', ['room']);
      const to = () => value(first, ['to', 'room'], ['emit', 'test']);
      assert.deepEqual(await whoHears(each, 'test', first, to), [2]);
      const except = () => value(first, ['except', 'room'], ['emit', 'test']);
      assert.deepEqual(await whoHears(each, 'test', first, except), [1, 3]);
    });

    await t.test('clients of this worker alone', async () => {
      const emit = () => value(first, ['local'], ['emit', 'test']);
      assert.deepEqual(await whoHears(each, 'test', first, emit), [1]);
    });

    await t.test('what may be lost, if nothing is in its way', async () => {
      const heard = hear(each, 'test');
      await value(second, ['volatile'], ['emit', 'test', 2]);
      assert.deepEqual(await heard, Array(3).fill([2]));
    });
  }),
);

test('acknowledgements come from all workers', { timeout: TIMEOUT }, t =>
  served(t, {}, async ({ each }) => {
    const [first, second, third] = each;
    const ask = (by, ms, event, ...args) => have(by, ['timeout', ms], ['emitWithAck', event, ...args]);
    each.forEach((client, place) => {
      client.on('number', answer => answer(place));
      client.on('bytes', answer => answer(Buffer.from([place])));
      client.on('not the third', answer => client !== third && answer(place));
    });

    const { value: numbers } = await ask(first, NEVER, 'number');
    assert.deepEqual(numbers.sort(), [0, 1, 2]);
    const { value: bytes } = await ask(second, NEVER, 'bytes');
    assert.deepEqual(bytes.map(it => [Buffer.isBuffer(it), it[0]]).sort(), [
      [true, 0],
      [true, 1],
      [true, 2],
    ]);
    assert.deepEqual(await have(first, ['to', 'nobody'], ['timeout', NEVER], ['emitWithAck', 'number']), {
      value: [],
    });
    const late = await ask(first, 5000, 'not the third');
    assert.deepEqual(late, { error: 'operation has timed out', responses: late.responses });
    assert.deepEqual(late.responses.sort(), [0, 1]);
  }),
);

test('rooms, sockets and their data are those of all workers', { timeout: TIMEOUT }, t =>
  served(t, {}, async ({ each }) => {
    const [first, second, third] = each;
    const rooms = async () => {
      // What was said before it has been done by then.
      await value(first, ['fetchSockets']);
      return Promise.all(each.map(client => client.emitWithAck('rooms')));
    };

    await value(first, ['socketsJoin', 'a']);
    assert.deepEqual(await rooms(), [['a'], ['a'], ['a']]);
    await second.emitWithAck('join', ['b']);
    await value(first, ['in', 'b'], ['socketsJoin', 'c']);
    assert.deepEqual(await rooms(), [['a'], ['a', 'b', 'c'], ['a']]);
    await value(third, ['in', 'b'], ['socketsLeave', 'a']);
    await value(third, ['fetchSockets']);
    assert.deepEqual(await rooms(), [['a'], ['b', 'c'], ['a']]);
    const sockets = await value(first, ['fetchSockets']);
    assert.deepEqual(
      sockets.sort((one, other) => one.home - other.home),
      [
        { home: 1, rooms: ['a'] },
        { home: 2, rooms: ['b', 'c'] },
        { home: 3, rooms: ['a'] },
      ],
    );
    assert.deepEqual(await value(first, ['in', 'b'], ['fetchSockets']), [{ home: 2, rooms: ['b', 'c'] }]);
    assert.deepEqual(await value(first, ['local'], ['fetchSockets']), [{ home: 1, rooms: ['a'] }]);

    // Who joins in all workers is there for what is emitted next.
    const heard = hear(each, 'joined');
    await value(first, ['socketsJoin', 'd']);
    await value(first, ['to', 'd'], ['emit', 'joined', 1]);
    assert.deepEqual(await heard, [[1], [1], [1]]);

    const gone = hear(each, 'disconnect');
    first.emit('do', [['disconnectSockets']], () => {});
    assert.deepEqual(
      (await gone).map(([reason]) => reason),
      Array(3).fill('io server disconnect'),
    );
  }),
);

test('servers talk to each other', { timeout: TIMEOUT }, t =>
  served(t, {}, async ({ each }) => {
    const [first, second, third] = each;
    const heard = hear([second, third], 'hello to servers');
    const emit = () => value(first, ['serverSideEmit', 'hello', 'world', 1, Buffer.from([2])]);
    assert.deepEqual(await whoHears(each, 'hello to servers', first, emit), [2, 3]);
    assert.deepEqual(await heard, Array(2).fill(['world', 1, Buffer.from([2])]));
    assert.deepEqual((await value(first, ['serverSideEmitWithAck', 'who'])).sort(), [2, 3]);
    assert.equal(await value(second, ...COUNT), WORKERS);
    assert.deepEqual(await have(first, ['serverSideEmitWithAck', 'who but', 3]), {
      error: 'timeout reached: missing 1 responses',
      responses: [2],
    });
  }),
);

test('what JSON makes of a value is what clients of all workers get', { skip, timeout: TIMEOUT }, t =>
  served(t, { stderr: /ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE|--trace-warnings/ }, async ({ each }) => {
    const [first, second, third] = each;
    const heard = hear(each, 'test');
    await value(first, ['emit', 'test', { kind: 'has toJSON' }, { kind: 'with a function' }]);
    assert.deepEqual(await heard, Array(3).fill([{ cents: 5 }, { a: 1 }]));
    const servers = hear([second, third], 'hello to servers');
    await value(first, ['serverSideEmit', 'hello', { kind: 'map' }]);
    assert.deepEqual(await servers, Array(2).fill([['Map', [1, 2]]]));
    // What the bus does not take is told: it has reached this worker's clients only.
    await value(first, ['to', 'nobody'], ['emit', 'test', { kind: 'large' }]);
  }),
);

test('what others post on its channel is nothing to it', { skip, timeout: TIMEOUT }, t =>
  served(t, {}, async ({ each }) => {
    const [first, second] = each;
    const values = [null, 'text', 7, [], {}, { nsp: '/' }, { nsp: '/', uid: 8, type: 3 }];
    values.push({ uid: 'x', nsp: '/' }, { uid: 'x', nsp: 'nowhere', type: 3 });
    for (const value of values) await first.emitWithAck('post', value);
    const emit = () => value(second, ['emit', 'test']);
    assert.deepEqual(await whoHears(each, 'test', second, emit), [1, 2, 3]);
    for (const client of each) while ((await value(client, ...COUNT)) !== WORKERS);
  }),
);

test(
  'where connection state recovery is asked for nothing is kept, and listeners get what was emitted',
  {
    skip,
    timeout: TIMEOUT,
  },
  t =>
    served(t, { env: { RECOVERY: 1 } }, async ({ each }) => {
      const [first, second] = each;
      for (const by of [first, second]) {
        const heard = hear(each, 'test');
        await value(by, ['emit', 'test', 1]);
        assert.deepEqual(await heard, Array(WORKERS).fill([1]));
      }
      const again = once(first, 'welcome');
      first.io.engine.close();
      await again;
      assert.equal(first.recovered, false);
      const heard = once(first, 'test');
      await value(second, ['emit', 'test', 2]);
      assert.deepEqual(await heard, [2]);
    }),
);

test('nobody waits for a worker that is killed', { skip, timeout: TIMEOUT }, async t => {
  const asks = {
    async 'serverSideEmit()'([first]) {
      assert.deepEqual(await value(first, ['serverSideEmitWithAck', 'die', 3]), [2]);
    },
    async 'emit() with acknowledgements'([first]) {
      const answers = await value(first, ['timeout', NEVER], ['emitWithAck', 'die', 3]);
      assert.deepEqual(answers.sort(), [1, 2]);
    },
    async 'fetchSockets()'([first], program) {
      const { pid } = program.history.find(({ event, id }) => event === 'listening' && id === 3);
      process.kill(pid, 'SIGSTOP');
      const sockets = value(first, ['timeout', NEVER], ['fetchSockets']);
      // It is asked meanwhile.
      for (let times = 3; times > 0; times--)
        await whoHears([first], 'x', first, () => value(first, ['emit', 'x']));
      process.kill(pid, 'SIGKILL');
      assert.deepEqual((await sockets).map(({ home }) => home).sort(), [1, 2]);
    },
  };
  for (const [name, ask] of Object.entries(asks))
    await t.test(name, t =>
      served(t, { exits: ['SIGKILL'] }, async ({ each, program }) => {
        each[2].io.reconnection(false);
        for (const client of each) client.on('die', (_who, answer) => answer(client.home));
        await ask(each, program);
        for (const client of each.slice(0, 2)) {
          assert.equal((await value(client, ['fetchSockets'])).length, 2);
          assert.equal(await value(client, ...COUNT), 2);
        }
      }),
    );
});

const RELOADS = {
  'by polling': { transports: ['polling'], env: { STICKY: 1 } },
  'by polling, then websocket, of servers that are closed': {
    transports: ['polling', 'websocket'],
    env: { STICKY: 1, CLOSE: 1 },
  },
};

for (const [how, options] of Object.entries(RELOADS))
  test(`all are reached after a reload, ${how}`, { skip, timeout: TIMEOUT }, t =>
    served(t, { ...options, exits: [0, 0, 0] }, async ({ each, program }) => {
      for (const client of each) client.on('welcome', home => Object.assign(client, { home }));
      each[0].emit('reload');
      await program.lines(/^reloaded$/);
      // One that has just begun knows who is there. The third leaves when the sixth listens.
      await program.lines(/^6 has found (3,)?4,5$/);
      for (const client of each)
        while (!client.connected || client.home <= WORKERS) await once(client, 'welcome');
      for (const by of each) {
        const heard = hear(each, 'test');
        await value(by, ['emit', 'test', by.home]);
        assert.deepEqual(await heard, Array(3).fill([by.home]));
        assert.equal((await value(by, ['fetchSockets'])).length, 3);
        assert.equal(await value(by, ...COUNT), WORKERS);
      }
    }),
  );
