'use strict';

// The setting `dispatch`: what it can be; sticky clients; clients of proxies.
//
// Where one worker is expected the policy is strict: on a busy machine another would serve for one that gets no processor.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const tls = require('node:tls');
const { send } = require('../support/http');
const proc = require('../support/proc');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster does not have it";

/** The program with four workers, once all listen. */
async function dispatching(dispatch, { env, ...options }, body) {
  const all = { DISPATCH: JSON.stringify(dispatch), ...env };
  await run('engine/programs/dispatch.js', { ...options, env: all }, async program => {
    const workers = await program.events('listening', 4);
    await body(workers[0].address.port, program, workers);
  });
}

/** What a worker says of itself and of us. */
async function ask(port, options) {
  const { request, response } = send(port, options);
  request.end();
  return JSON.parse((await response).body);
}

const cookie = value => ({ headers: { cookie: `theme=dark; connect.sid=${value}; a=b` } });
const query = value => ({ path: `/socket.io/?EIO=4&transport=polling&sid=${value}` });

for (const [what, by, showing] of [
  ['in a cookie', { cookie: 'connect.sid' }, cookie],
  ['in a signed cookie', { cookie: 'connect.sid' }, id => cookie(encodeURIComponent(`s:${id}.signature`))],
  ['in a header', { header: 'X-Session' }, id => ({ headers: { 'x-session': id } })],
  ['in the address', { query: 'sid' }, query],
  ['of Socket.IO', 'socket.io', query],
]) {
  test(`an id that a worker has made leads back to it, ${what}`, { skip }, async () => {
    await dispatching({ policy: 'sticky', sticky: { by, owner: 'strict' } }, {}, async port => {
      const slots = new Set();
      while (slots.size < 4) {
        const { slot, id } = await ask(port);
        slots.add(slot);
        for (let times = 3; times > 0; times--) assert.equal((await ask(port, showing(id))).slot, slot);
      }
    });
  });
}

test('an id that no worker has made has one worker', { skip }, async () => {
  await dispatching(
    { policy: 'sticky', sticky: { by: { header: 'x-user' }, owner: 'strict' } },
    {},
    async port => {
      const slots = new Set();
      for (let user = 0; user < 40; user++) {
        const options = { headers: { 'X-User': `user ${user}` } };
        const { slot } = await ask(port, options);
        slots.add(slot);
        assert.equal((await ask(port, options)).slot, slot);
      }
      // That one of four is nobody's among 40: three in a hundred thousand.
      assert.ok(slots.size > 2);
    },
  );
});

test('an address has one worker', { skip }, async () => {
  await dispatching({ policy: 'sticky', sticky: { by: 'address', owner: 'strict' } }, {}, async port => {
    const { slot } = await ask(port);
    for (let times = 8; times > 0; times--) assert.equal((await ask(port)).slot, slot);
  });
});

test("a killed worker's clients go to its successor", { skip }, async () => {
  const exits = ['SIGKILL'];
  await dispatching(
    { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } },
    { exits },
    async (port, program) => {
      const { slot, id, pid } = await ask(port);
      process.kill(pid, 'SIGKILL');
      await program.events('listening', 5);
      const again = await ask(port, query(id));
      assert.equal(again.slot, slot);
      assert.notEqual(again.pid, pid);
    },
  );
});

test('where the owner is stopped another serves its clients, and with strict they wait', {
  skip,
}, async () => {
  for (const owner of ['prefer', 'strict']) {
    await dispatching({ policy: 'sticky', sticky: { by: 'socket.io', owner } }, {}, async port => {
      const { slot, id, pid } = await ask(port);
      proc.stop(pid);
      try {
        const answer = ask(port, query(id));
        // Others do not wait.
        for (let times = 8; times > 0; times--) assert.notEqual((await ask(port, query('abc'))).slot, slot);
        if (owner === 'prefer') assert.notEqual((await answer).slot, slot);
        process.kill(pid, 'SIGCONT');
        if (owner === 'strict') assert.equal((await answer).slot, slot);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    });
  }
});

test('clients that wait for a stopped owner leave descriptors for others', { skip }, async () => {
  const dispatch = { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } };
  await dispatching(dispatch, { descriptors: 200 }, async port => {
    const { id, pid, slot } = await ask(port);
    process.kill(pid, 'SIGSTOP');
    // One of them has to be taken back from it, so then it is known to be stuck.
    for (let times = 8; times > 0; times--) assert.notEqual((await ask(port, query('abc'))).slot, slot);
    const clients = [];
    try {
      // One after the other, so that what each says is there before the next one comes.
      while (clients.length < 250) {
        const client = net.connect(port, '127.0.0.1').on('error', () => {});
        clients.push(client);
        await once(client, 'connect');
        client.write(`GET ${query(id).path} HTTP/1.1\r\nHost: h\r\n\r\n`);
      }
      assert.notEqual((await ask(port, query('abc'))).slot, slot);
    } finally {
      for (const client of clients) client.destroy();
      process.kill(pid, 'SIGCONT');
    }
  });
});

/** What a worker answers to what is said on a connection, which it then closes. */
async function say(port, pieces, secure = false) {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    for (const piece of pieces) socket.write(piece);
    const stream = secure ? tls.connect({ socket, rejectUnauthorized: false }) : socket;
    stream.end('GET /here HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    let answer = '';
    stream.setEncoding('utf8');
    for await (const text of stream) answer += text;
    return JSON.parse(answer.slice(answer.indexOf('{')));
  } finally {
    socket.destroy();
  }
}

const V1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n';
const V2 = Buffer.concat([
  Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x21', 'latin1'),
  Buffer.from([
    0,
    36,
    0x20,
    1,
    0xd,
    0xb8,
    ...Array(11).fill(0),
    1,
    ...Array(15).fill(0),
    1,
    0x30,
    0x39,
    1,
    0xbb,
  ]),
]);

for (const secure of [false, true]) {
  test(`a proxy says who the client is, ${secure ? 'https' : 'http'}`, { skip }, async () => {
    const env = secure ? { TLS: '1' } : {};
    await dispatching({ proxyProtocol: ['127.0.0.0/8'] }, { env }, async port => {
      for (const [header, client] of [
        [V1, '192.0.2.7 IPv4 56324'],
        [V2, '2001:db8::1 IPv6 12345'],
        ['PROXY UNKNOWN\r\n', /^127\.0\.0\.1 IPv4 \d+$/],
      ]) {
        const bytes = Buffer.from(header);
        const halves = [bytes.subarray(0, 9), bytes.subarray(9)];
        const answer = await say(port, halves, secure);
        assert.equal(answer.url, '/here');
        if (typeof client === 'string') assert.equal(answer.client, client);
        else assert.match(answer.client, client);
      }
    });
  });
}

test('a client of a proxy keeps its address with the worker that has room for it', { skip }, async () => {
  await dispatching({ proxyProtocol: ['127.0.0.1'] }, { env: { MAX: '1' } }, async port => {
    const held = [];
    try {
      // Three of four workers are full; then all of them are asked in turn.
      for (let count = 3; count > 0; count--) {
        const socket = net.connect(port, '127.0.0.1');
        held.push(socket);
        socket.write(`${V1}GET / HTTP/1.1\r\nHost: h\r\n\r\n`);
        await once(socket, 'data');
      }
      for (let times = 4; times > 0; times--)
        assert.equal((await say(port, [V1])).client, '192.0.2.7 IPv4 56324');
    } finally {
      for (const socket of held) socket.destroy();
    }
  });
});

test('who should say who the client is, and does not, is closed; from elsewhere nobody is asked', {
  skip,
}, async () => {
  await dispatching({ proxyProtocol: ['127.0.0.1'] }, {}, async port => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.end('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    let answer = '';
    socket.on('data', data => {
      answer += data;
    });
    await new Promise(resolve => socket.once('close', resolve));
    assert.equal(answer, '');
  });
  await dispatching({ proxyProtocol: ['10.0.0.0/8'] }, {}, async port => {
    assert.match((await say(port, [])).client, /^127\.0\.0\.1 /);
    // It is what it looks like: no HTTP.
    await assert.rejects(say(port, [V1]));
  });
});

test('a path has settings of its own', { skip }, async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  const address = path.join(folder, 'socket');
  const ports = { [address]: { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } } };
  try {
    await dispatching({ policy: 'round-robin', ports }, { env: { LISTEN: address } }, async () => {
      const { slot, id } = await ask(undefined, { socketPath: address, host: undefined });
      for (let times = 5; times > 0; times--) {
        const answer = await ask(undefined, { socketPath: address, host: undefined, ...query(id) });
        assert.equal(answer.slot, slot);
      }
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

const sticky = { by: 'address' };

test('what cannot be is refused, and the message says where', { skip }, () => {
  const cluster = require('rust-cluster');
  for (const [dispatch, where] of [
    [null, 'dispatch'],
    [7, 'dispatch'],
    [[], 'dispatch'],
    ['random', 'dispatch.policy'],
    [{ policy: 'Sticky' }, 'dispatch.policy'],
    [{ polices: 'sticky' }, 'dispatch.polices'],
    [{ toString: 1 }, 'dispatch.toString'],
    ['sticky', 'dispatch.sticky'],
    [{ policy: 'sticky' }, 'dispatch.sticky'],
    ...[
      null,
      'address',
      {},
      { by: 'cookie' },
      { by: {} },
      { by: { cookie: 'a', header: 'b' } },
      { by: { cookie: '' } },
      { by: { cookie: 'a=b' } },
      { by: { header: 'x user' } },
      { by: { header: 1 } },
      { by: { query: '' } },
      { by: { body: 'a' } },
      { by: 'address', owner: 'wait' },
      { by: 'address', table: true },
      { by: { cookie: 'a' }, per: 'session' },
      { by: 'address', per: 'request' },
    ].map(bad => [{ policy: 'sticky', sticky: bad }, 'dispatch.sticky']),
    ...['10.0.0.0/8', ['10.0.0.0/33'], ['localhost'], [8], Array(1), {}].map(bad => [
      { proxyProtocol: bad },
      'dispatch.proxyProtocol',
    ]),
    ...[0, -1, 1.5, '10', null, Number.NaN].map(bad => [{ maxConnections: bad }, 'dispatch.maxConnections']),
    ...[-1, 1.5, '10', null, Number.POSITIVE_INFINITY, 2 ** 31].flatMap(bad => [
      [{ maxConnections: 1, queueTimeout: bad }, 'dispatch.queueTimeout'],
      [{ maxConnections: 1, slowStart: bad }, 'dispatch.slowStart'],
    ]),
    ...[200, '503', true, null].map(bad => [
      { maxConnections: 1, queueTimeout: 1, refuseWith: bad },
      'dispatch.refuseWith',
    ]),
    [{ queueTimeout: 1 }, 'dispatch.maxConnections'],
    [{ slowStart: 1 }, 'dispatch.maxConnections'],
    [{ maxConnections: 1, refuseWith: 503 }, 'dispatch.queueTimeout'],
    [{ maxConnections: 1, ports: { 80: { maxConnections: 0 } } }, 'dispatch.ports.80.maxConnections'],
    [
      { ports: Object.fromEntries(Array.from({ length: 64 }, (_, port) => [port, { maxConnections: 1 }])) },
      'dispatch.ports',
    ],
    [{ ports: 80 }, 'dispatch.ports'],
    [{ ports: { 65536: { policy: 'sticky', sticky } } }, 'dispatch.ports.65536'],
    [{ ports: { 80: 'random' } }, 'dispatch.ports.80.policy'],
    [{ ports: { 80: { policy: 'sticky' } } }, 'dispatch.ports.80.sticky'],
    [{ ports: { 80: { ports: {} } } }, 'dispatch.ports.80.ports'],
  ]) {
    const start = `The property 'settings.${where}' must be `;
    const check = error => error.code === 'ERR_INVALID_ARG_VALUE' && error.message.startsWith(start);
    assert.throws(() => cluster.setupPrimary({ dispatch }), check, JSON.stringify(dispatch));
    assert.deepEqual(cluster.settings, {});
  }
});

test('what can be is kept as it was written', { skip }, () => {
  const cluster = require('rust-cluster');
  for (const dispatch of [
    'round-robin',
    {},
    { policy: 'sticky', sticky },
    { sticky, ports: { 80: 'sticky', './app.sock': { sticky: { by: { query: 'room' }, owner: 'strict' } } } },
    { policy: 'sticky', sticky: { by: 'socket.io', per: 'request' } },
    { proxyProtocol: ['10.0.0.0/8', '::1'], ports: { 443: { proxyProtocol: [] } } },
    { maxConnections: 1, queueTimeout: 0, refuseWith: 503, slowStart: 0 },
    { maxConnections: 9, queueTimeout: 1, refuseWith: 'reset', ports: { 80: { maxConnections: Infinity } } },
  ]) {
    cluster.setupPrimary({ dispatch });
    assert.equal(cluster.settings.dispatch, dispatch);
  }
});
