'use strict';

// Requests of many clients on one kept-alive connection, as a proxy's pool has them: `per: 'request'`.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { run } = require('../support/program');
const { find, proxied } = require('../support/proxy');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster does not have it";

const per = (by, more) => ({ policy: 'sticky', sticky: { by, owner: 'strict', per: 'request' }, ...more });

/** The program, once its workers listen; and one kept-alive connection to it. */
async function kept(dispatch, { workers = 2, exits, nodeArgs, port = 0 } = {}, body) {
  const env = { DISPATCH: JSON.stringify(dispatch), WORKERS: workers, PORT: port };
  await run('engine/programs/requests.js', { env, exits, nodeArgs }, async program => {
    const [{ address }] = await program.events('listening', workers);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const connections = new Set();
    try {
      const ask = (options, data) =>
        visit({ port: address.port, agent, ...options }, data, ({ socket }) => connections.add(socket));
      await body({ ask, connections, port: address.port, program });
    } finally {
      agent.destroy();
    }
  });
}

/** What a worker answers. */
function visit(options, data, seen) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', ...options }, async response => {
      seen?.(response);
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve(JSON.parse(text));
    });
    request.on('error', reject);
    request.end(data);
  });
}

const cookie = id => ({ headers: { cookie: `theme=dark; sid=${id}` } });
const header = id => ({ headers: { 'x-user': id } });
const query = id => ({ path: `/?sid=${id}` });

for (const [what, by, showing] of [
  ['in a cookie', { cookie: 'sid' }, cookie],
  ['in a header', { header: 'X-User' }, header],
  ['in the address', { query: 'sid' }, query],
  ['of Socket.IO', 'socket.io', query],
]) {
  test(`each request on a connection goes to the worker that its id names, ${what}`, { skip }, () =>
    kept(per(by), {}, async ({ ask, connections }) => {
      const slots = [0, 1, 1, 0, 0, 0, 1, 0, 1, 1];
      for (const slot of slots) assert.equal((await ask(showing(`${slot}~a`))).slot, slot);
      // One without an id stays where the connection is.
      assert.equal((await ask({})).slot, slots.at(-1));
      assert.equal(connections.size, 1);
    }),
  );
}

test('an id that is hashed has one worker, on all connections', { skip }, () =>
  kept(per({ header: 'x-user' }), {}, async ({ ask, connections }) => {
    const owners = new Map();
    for (let round = 0; round < 4; round++) {
      for (let user = 0; user < 12; user++) {
        const options = header(`user ${user}`);
        const { slot } = await ask(options);
        if (!owners.has(user)) owners.set(user, (await ask({ ...options, agent: false })).slot);
        assert.equal(slot, owners.get(user));
      }
    }
    assert.ok(connections.size > 0);
  }),
);

test(
  'bodies, small and large, arrive whole; who answers before the end of one keeps the next request',
  {
    skip,
  },
  () =>
    kept(per('socket.io'), {}, async ({ ask, connections }) => {
      const data = Buffer.alloc(1 << 20, 'x');
      for (const [slot, length] of [
        [0, 5],
        [1, 1 << 20],
        [0, 1 << 20],
        [0, 0],
        [1, 5],
      ]) {
        const answer = await ask({ ...query(`${slot}~a`), method: 'POST' }, data.subarray(0, length));
        assert.deepEqual([answer.slot, answer.length], [slot, length]);
      }
      for (const slot of [0, 1, 0]) {
        const early = await ask({ path: `/early?sid=${slot}~a`, method: 'POST' }, data.subarray(0, 1000));
        assert.deepEqual([early.slot, early.length], [slot, -1]);
      }
      assert.equal(connections.size, 1);
    }),
);

/** A connection on which bytes are said, and what is answered is read. */
async function connection(port, body) {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', part => {
    text += part;
  });
  try {
    await once(socket, 'connect');
    /** The first match, which is taken out. */
    const expect = async pattern => {
      for (;;) {
        const found = text.match(pattern);
        if (found) {
          text = text.slice(found.index + found[0].length);
          return found[1];
        }
        await once(socket, 'data');
      }
    };
    await body(socket, expect);
  } finally {
    socket.destroy();
  }
}

const head = (id, more = '') => `GET /?sid=${id} HTTP/1.1\r\nHost: h\r\n${more}\r\n`;
const SLOT = /"slot":(\d+)/;

test(
  'requests that do not wait for answers are all answered in their order, and what comes then goes to its worker',
  {
    skip,
  },
  () =>
    kept(per('socket.io'), {}, ({ port }) =>
      connection(port, async (socket, expect) => {
        for (const [first, other] of [
          [0, 1],
          [1, 0],
        ]) {
          // The worker that is to have the first has read the others with it.
          socket.write(head(`${first}~a`) + head(`${other}~a`) + head(`${other}~a`));
          assert.deepEqual(
            [await expect(SLOT), await expect(SLOT), await expect(SLOT)],
            Array(3).fill(`${first}`),
          );
          socket.write(head(`${other}~a`));
          assert.equal(await expect(SLOT), `${other}`);
          // Half of the next one comes with it, and what then comes looks like one by itself.
          socket.write(`${head(`${other}~a`)}GET /?sid=${other}~a HTTP/1.1\r\nHost: h\r\nReferer: `);
          assert.equal(await expect(SLOT), `${other}`);
          socket.write(`GET /?sid=${first}~a HTTP/1.1\r\n\r\n`);
          assert.equal(await expect(SLOT), `${other}`);
        }
      }),
    ),
);

test('a head that comes byte by byte goes to its worker', { skip }, () =>
  kept(per('socket.io'), {}, ({ port }) =>
    connection(port, async (socket, expect) => {
      socket.setNoDelay(true);
      for (const slot of ['0', '1', '0']) {
        for (const byte of head(`${slot}~a`)) {
          socket.write(byte);
          await new Promise(resolve => setImmediate(resolve));
        }
        assert.equal(await expect(SLOT), slot);
      }
    }),
  ),
);

test('an upgraded connection stays, whatever is said on it', { skip }, () =>
  kept(per('socket.io'), {}, ({ port }) =>
    connection(port, async (socket, expect) => {
      socket.write(head('0~a'));
      assert.equal(await expect(SLOT), '0');
      socket.write(head('1~a', 'Connection: Upgrade\r\nUpgrade: echo\r\n'));
      assert.equal(await expect(/\r\n\r\n(\d)/), '1');
      for (const slot of ['0', '1']) {
        socket.write(head(`${slot}~b`));
        assert.equal(await expect(/sid=(\d)~b HTTP\/1.1\r\nHost: h\r\n\r\n/), slot);
      }
    }),
  ),
);

test('of a connection that is reset between two requests the server is told so', { skip }, () =>
  kept(per('socket.io'), {}, ({ port, program }) =>
    connection(port, async (socket, expect) => {
      for (const slot of ['0', '1']) {
        socket.write(head(`${slot}~a`));
        assert.equal(await expect(SLOT), slot);
      }
      socket.resetAndDestroy();
      await program.lines(/^client: ECONNRESET$/);
    }),
  ),
);

test('a connection between two requests keeps no process alive that its socket does not', { skip }, () =>
  kept(per('socket.io'), { workers: 1, exits: [0] }, ({ port, program }) =>
    connection(port, async (socket, expect) => {
      socket.write(head('0~a').replace('/', '/unref'));
      assert.equal(await expect(SLOT), '0');
      await program.events('exit');
    }),
  ),
);

test('who a proxy has said the client is, it is for each worker', { skip }, () =>
  kept(per('socket.io', { proxyProtocol: ['127.0.0.1'] }), {}, ({ port }) =>
    connection(port, async (socket, expect) => {
      socket.write('PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n');
      for (const slot of ['0', '1', '1', '0']) {
        socket.write(head(`${slot}~a`));
        assert.equal(await expect(SLOT), slot);
        assert.equal(await expect(/"client":"([^"]+)"/), '192.0.2.7 56324');
      }
    }),
  ),
);

test("a killed worker's requests, on a connection that another has, go to its successor", { skip }, () =>
  kept(per('socket.io'), { exits: ['SIGKILL'] }, async ({ ask, connections, program }) => {
    const { pid } = await ask(query('0~a'));
    await ask(query('1~a'));
    process.kill(pid, 'SIGKILL');
    await program.events('listening', 3);
    const answer = await ask(query('0~a'));
    assert.equal(answer.slot, 0);
    assert.notEqual(answer.pid, pid);
    assert.equal(connections.size, 1);
  }),
);

test('where a server is closed, what comes on its connections is served by its worker', {
  skip,
}, async () => {
  const port = await freePort();
  await kept(per('socket.io'), { workers: 1, port }, async ({ ask, connections }) => {
    await ask({ path: '/close?sid=0~a' });
    let error;
    while (error?.code !== 'ECONNREFUSED') {
      const socket = net.connect(port, '127.0.0.1');
      error = await new Promise(resolve => socket.once('connect', resolve).once('error', resolve));
      socket.destroy();
    }
    // One of a slot that is not there.
    assert.equal((await ask(query('1~a'))).slot, 0);
    assert.equal(connections.size, 1);
  });
});

const nginx = (
  port,
  target,
  folder,
) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr error;
  events {}
  http {
    access_log off;
    ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(what => `${what}_temp_path ${folder}/${what};`).join(' ')}
    upstream app { server 127.0.0.1:${target}; keepalive 2; }
    server {
      listen 127.0.0.1:${port};
      location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off; }
    }
  }`;

const haproxy = (port, target) =>
  `defaults
  mode http
  http-reuse always
  retries 0
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen app
  bind 127.0.0.1:${port}
  server app 127.0.0.1:${target} pool-max-conn 2
`;

const proxies = [
  [[find('nginx'), '-c'], nginx],
  [[find('haproxy'), '-db', '-f'], haproxy],
];
const missing = proxies.every(([[program]]) => program) ? '' : ': skipped, nginx or haproxy is not installed';

test(
  `behind nginx and HAProxy, which send requests of all clients on each of their connections, each goes to its worker${missing}`,
  {
    skip: skip || missing !== '',
  },
  () =>
    kept(per({ cookie: 'sid' }), {}, ({ port: target }) =>
      Promise.all(
        proxies.map(([command, configure]) =>
          proxied(command, configure, target, async port => {
            const slotsOf = new Map();
            const client = async slot => {
              const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
              for (let times = 40; times > 0; times--) {
                const answer = await visit({ port, agent, ...cookie(`${slot}~a`) });
                assert.equal(answer.slot, slot);
                slotsOf.set(answer.client, (slotsOf.get(answer.client) ?? new Set()).add(slot));
              }
              agent.destroy();
            };
            await Promise.all([0, 1, 0, 1, 0, 1].map(client));
            // They have done so.
            assert.ok([...slotsOf.values()].some(slots => slots.size === 2));
          }),
        ),
      ),
    ),
);

test('without it a connection stays where its first request went', { skip }, () =>
  kept({ policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } }, {}, async ({ ask }) => {
    for (const slot of [1, 0, 1, 0]) assert.equal((await ask(query(`${slot}~a`))).slot, 1);
  }),
);
