'use strict';

// dispatch.maxConnections and what belongs to it: how many connections a worker has, who waits, and for how long.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { test } = require('node:test');
const proc = require('../support/proc');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster does not have it";

const FIRST = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';
const LAST = '0\r\n\r\n';

/** The program, once all of its workers listen; `ports` in ascending order of their numbers. */
async function limited(dispatch, { env, ...options }, body) {
  const all = { DISPATCH: JSON.stringify(dispatch), WORKERS: 2, PORTS: 1, ...env };
  await run('engine/programs/limited.js', { ...options, env: all }, async program => {
    const events = await program.events('listening', all.WORKERS * all.PORTS);
    const ports = [...new Set(events.map(({ address }) => address.port))].toSorted((a, b) => a - b);
    await body(ports, program);
  });
}

/** A client that has connected, and asked; `served` is what it is told once a worker serves it. */
class Client {
  constructor(port, { first = FIRST, socket = net.connect(port, '127.0.0.1') } = {}) {
    this.socket = socket.on('error', () => {});
    /** Once it is in the kernel. */
    this.hasSaid = new Promise(resolve => socket.write(first, resolve));
    this.text = '';
    this.closed = new Promise(resolve => socket.once('close', resolve));
    socket.setEncoding('utf8').on('data', text => {
      this.text += text;
    });
    this.served = this.says(/\{.*\}/).then(([text]) => JSON.parse(text));
    this.served.catch(() => {});
  }

  /** Waits until what has come matches. */
  async says(pattern) {
    for (;;) {
      const match = this.text.match(pattern);
      if (match) return match;
      if (this.socket.destroyed) throw new Error(`it was closed after: ${this.text}`);
      await Promise.race([once(this.socket, 'data'), this.closed]);
    }
  }

  get isServed() {
    return this.text.includes('{');
  }

  /** What it holds is its worker's no more: the connection ends. */
  async end() {
    this.socket.destroy();
    await this.closed;
  }
}

/**
 * Clients one after the other until all workers are full. `patient`: none is refused. Else one may be while a worker has
 * no processor, and so takes nothing.
 */
async function fill(port, count, patient = true) {
  const clients = [];
  while (clients.length < count) {
    const client = new Client(port);
    const isServed = await client.served.then(Boolean, error => {
      if (patient) throw error;
    });
    if (isServed) clients.push(client);
  }
  return clients;
}

/** Clients who connect while the primary is stopped: what they say has come when it accepts them. */
async function whileStopped({ pid }, connect) {
  proc.stop(pid);
  try {
    const clients = connect();
    await Promise.all(clients.map(({ hasSaid }) => hasSaid));
    return clients;
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

const destroyAll = clients => clients.map(({ socket }) => socket.destroy());

for (const serves of ['tcp', 'http', 'https']) {
  test(`of a burst on two ports no worker has more than it may, and all are served: ${serves}`, {
    skip,
  }, async () => {
    const most = 3;
    await limited({ maxConnections: most }, { env: { SERVES: serves, PORTS: 2 } }, async ports => {
      const burst = Array.from({ length: 300 }, async (_, i) => {
        const port = ports[i % 2];
        const secure = serves === 'https' && require('node:tls').connect(port, { rejectUnauthorized: false });
        const client = new Client(port, { ...(secure && { socket: secure }) });
        const { id, open } = await client.served;
        await client.end();
        return { id, open };
      });
      const all = await Promise.all(burst);
      assert.ok(all.every(({ id }) => id === 1 || id === 2));
      assert.ok(Math.max(...all.map(({ open }) => open)) <= most);
    });
  });
}

test('a limit of a port is its own, and holds for no other', { skip }, async () => {
  // Both are of the general settings, and share their limit.
  await limited({ maxConnections: 1 }, { env: { WORKERS: 1, PORTS: 2 } }, async ([one, other]) => {
    const [holder] = await fill(one, 1);
    const waits = new Client(other);
    await once(waits.socket, 'connect');
    await holder.end();
    await waits.served;
    await waits.end();
  });
});

for (const serves of ['http', 'https']) {
  test(`an idle kept-alive connection takes nobody's place, and counts again when it asks: ${serves}`, {
    skip,
  }, async () => {
    await limited({ maxConnections: 1 }, { env: { SERVES: serves, WORKERS: 1 } }, async ([port]) => {
      const { Agent, request } = serves === 'http' ? http : https;
      const agents = [1, 2].map(
        () => new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }),
      );
      /** Asks; resolves when a worker answers, with what ends the request and resolves when that is over. */
      const ask = async agent => {
        const asked = request({ port, host: '127.0.0.1', agent, method: 'POST' });
        asked.flushHeaders();
        const [response] = await once(asked, 'response');
        const kept = asked.reusedSocket;
        return {
          kept,
          end: () => {
            asked.end();
            return once(response.resume(), 'end');
          },
        };
      };
      try {
        for (let round = 0; round < 3; round++) {
          for (const agent of agents) {
            const { kept, end } = await ask(agent);
            assert.equal(kept, round > 0);
            await end();
          }
        }
        // Both ask again: that is more than the limit, and nobody new comes in before both have their answers.
        const held = [await ask(agents[0]), await ask(agents[1])];
        const [url, options] = [
          `${serves}://127.0.0.1:${port}/ends`,
          { agent: false, rejectUnauthorized: false },
        ];
        const next = once(request(url, options).end(), 'response');
        await held[0].end();
        const { end } = await ask(agents[0]);
        await Promise.all([held[1].end(), end()]);
        const [response] = await next;
        // All others had ended by then.
        const [text] = await once(response.setEncoding('utf8'), 'data');
        assert.equal(JSON.parse(text).open, 1);
        response.resume();
      } finally {
        for (const agent of agents) agent.destroy();
      }
    });
  });
}

test('a kept connection that becomes a websocket counts until it is closed', { skip }, async () => {
  await limited({ maxConnections: 1 }, { env: { WORKERS: 1 } }, async ([port]) => {
    const client = new Client(port, { first: 'GET /ends HTTP/1.1\r\nHost: h\r\n\r\n' });
    await client.says(/0\r\n\r\n$/);
    const [between] = await fill(port, 1);
    await between.end();
    client.socket.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await client.says(/ 101 .*\{/s);
    const waits = new Client(port);
    await once(waits.socket, 'connect');
    // What its worker does for the first comes after what it would do for the other.
    client.socket.end();
    await client.closed;
    const { open } = await waits.served;
    assert.equal(open, 1);
    await waits.end();
  });
});

test('requests that a client does not wait for make a connection idle when all are answered', {
  skip,
}, async () => {
  await limited({ maxConnections: 1 }, { env: { WORKERS: 1 } }, async ([port]) => {
    const two = `GET /ends HTTP/1.1\r\nHost: h\r\n\r\n${FIRST}`;
    const client = new Client(port, { first: two });
    await client.says(/\{.*\{/s);
    const waits = new Client(port);
    await once(waits.socket, 'connect');
    const { open } = await (async () => {
      client.socket.write(LAST);
      return waits.served;
    })();
    assert.equal(open, 1);
    destroyAll([client, waits]);
  });
});

for (const [refuseWith, answer] of [
  ['reset', /^$/],
  [
    503,
    /^HTTP\/1\.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n$/,
  ],
]) {
  test(`who has waited for too long gets: ${refuseWith}`, { skip }, async () => {
    const dispatch = { maxConnections: 1, queueTimeout: 100, refuseWith };
    await limited(dispatch, {}, async ([port], program) => {
      const held = await fill(port, 2, false);
      const refused = await whileStopped(program, () => Array.from({ length: 20 }, () => new Client(port)));
      await Promise.all(refused.map(({ closed }) => closed));
      for (const { text } of refused) assert.match(text, answer);
      destroyAll(held);
    });
  });
}

test('where nobody is to wait a client is refused at once', { skip }, async () => {
  await limited({ maxConnections: 1, queueTimeout: 0, refuseWith: 503 }, {}, async ([port], program) => {
    const held = await fill(port, 2, false);
    const [refused] = await whileStopped(program, () => [new Client(port)]);
    await refused.says(/^HTTP\/1.1 503 /);
    destroyAll(held);
  });
});

test('clients that have given up leave their place to others', { skip }, async () => {
  for (const queueTimeout of [undefined, 60_000]) {
    await limited({ maxConnections: 1, queueTimeout }, {}, async ([port]) => {
      const held = await fill(port, 2);
      const gone = Array.from({ length: 50 }, () => net.connect(port, '127.0.0.1'));
      await Promise.all(gone.map(socket => once(socket, 'connect')));
      for (const socket of gone) socket.resetAndDestroy();
      const waits = new Client(port);
      await once(waits.socket, 'connect');
      await held[0].end();
      await waits.served;
      destroyAll([...held, waits]);
    });
  }
});

test('a worker that is killed at its limit makes way for another', { skip }, async () => {
  await limited({ maxConnections: 2 }, { exits: ['SIGKILL'] }, async ([port]) => {
    const held = await fill(port, 4);
    const waits = [1, 2].map(() => new Client(port));
    await Promise.all(waits.map(({ socket }) => once(socket, 'connect')));
    const { pid, id } = await held[0].served;
    process.kill(pid, 'SIGKILL');
    for (const { served } of waits) {
      const { id: by, open } = await served;
      assert.ok(by !== id && open <= 2);
    }
    destroyAll([...held, ...waits]);
  });
});

test('beside a worker that is stopped at its limit the other goes on, within its own', { skip }, async () => {
  await limited({ maxConnections: 2 }, {}, async ([port]) => {
    const held = await fill(port, 4);
    const { pid, id } = await held[0].served;
    proc.stop(pid);
    try {
      const others = [];
      for (const client of held) {
        if ((await client.served).id !== id) others.push(client);
      }
      assert.equal(others.length, 2);
      const waits = Array.from({ length: 30 }, () => new Client(port));
      const serving = waits.map(async client => {
        const { id: by, open } = await client.served;
        assert.ok(by !== id && open <= 2);
        await client.end();
      });
      await others[0].end();
      await Promise.all(serving);
    } finally {
      process.kill(pid, 'SIGCONT');
      destroyAll(held);
    }
  });
});

test('clients that wait when all workers are to leave are served first', { skip }, async () => {
  const exits = [0, 0];
  await limited({ maxConnections: 2 }, { exits }, async ([port], program) => {
    const held = await fill(port, 4);
    const waits = Array.from({ length: 20 }, () => new Client(port));
    await Promise.all(waits.map(({ socket }) => once(socket, 'connect')));
    const idle = new Client(port, { first: 'GET /leave HTTP/1.1\r\nHost: h\r\n\r\n' });
    const serving = [idle, ...waits].map(async client => {
      const { open } = await client.served;
      assert.ok(open <= 2);
      await client.end();
    });
    await Promise.all([...held.map(client => client.end()), ...serving]);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });
});

test("a server's own maxConnections holds beside it", { skip }, async () => {
  for (const [max, maxConnections] of [
    [1, 3],
    [3, 1],
  ]) {
    await limited({ maxConnections }, { env: { MAX: max } }, async ([port]) => {
      const burst = Array.from({ length: 60 }, async () => {
        const client = new Client(port);
        const { open } = await client.served;
        await client.end();
        return open;
      });
      assert.deepEqual([...new Set(await Promise.all(burst))], [1]);
    });
  }
});

test('slow clients hold their places, and no more than these', { skip }, async () => {
  await limited({ maxConnections: 2, queueTimeout: 60_000 }, {}, async ([port]) => {
    const slow = Array.from({ length: 4 }, () => new Client(port, { first: 'POST / HT' }));
    const waits = new Client(port);
    await once(waits.socket, 'connect');
    await slow[0].end();
    await waits.served;
    destroyAll([...slow, waits]);
  });
});

test('a connection that a worker cannot open takes no place', { skip }, async () => {
  await limited({ maxConnections: 1 }, { env: { WORKERS: 1, FAILS: 1 } }, async ([port]) => {
    const lost = new Client(port);
    await lost.closed;
    const [served] = await fill(port, 1);
    await served.end();
  });
});

/** OpenConnections with one connection to a server of its own, and how many places it has freed. */
async function counted(body) {
  const OpenConnections = require('../../lib/cluster/open_connections');
  const intake = { free: 0, frees: () => intake.free++, occupies: () => intake.free-- };
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port, '127.0.0.1').on('error', () => {});
  try {
    const [socket] = await once(server, 'connection');
    new OpenConnections(intake).add(socket._handle, 1);
    await body(
      socket.on('error', () => {}),
      intake,
    );
  } finally {
    client.destroy();
    server.close();
  }
}

for (const way of ['destroy', 'resetAndDestroy']) {
  test(`a connection counts until its program has heard that it is closed: ${way}`, async () => {
    await counted(async (socket, intake) => {
      const freed = [];
      socket.once('close', () => freed.push(intake.free));
      socket[way]();
      freed.push(intake.free);
      await once(socket, 'close');
      await new Promise(setImmediate);
      assert.deepEqual([...freed, intake.free], [0, 0, 1]);
    });
  });
}

test('a connection whose reset fails makes room, once', () => {
  const intake = { free: 0, frees: () => intake.free++ };
  const handle = { close: () => {}, reset: () => -22 };
  const OpenConnections = require('../../lib/cluster/open_connections');
  new OpenConnections(intake).add(handle, 1);
  assert.equal(handle.reset(), -22);
  handle.close();
  assert.equal(intake.free, 1);
});
