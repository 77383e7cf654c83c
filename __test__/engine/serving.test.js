'use strict';

// Every kind of server, on every kind of address, under both policies, is an ordinary server in a worker.

const assert = require('node:assert/strict');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { test } = require('node:test');
const tls = require('node:tls');
const { askUntilAll } = require('../support/http');
const { run } = require('../support/program');

const PROGRAM = 'engine/programs/servers.js';
const socketPath = name => path.join(os.tmpdir(), `rust-cluster-${process.pid}-${name}.sock`);

/** A client for each kind of server: one connection, and what came back. */
const clients = {
  net: target => text(net.connect(target)),
  tls: target => text(tls.connect({ ...target, rejectUnauthorized: false })),
  http: target => request(http, target),
  https: target => request(https, { ...target, rejectUnauthorized: false }),
  async http2({ port }) {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    try {
      return await text(session.request({ ':path': '/' }));
    } finally {
      session.close();
    }
  },
};

function request(protocol, { path: socketPath, ...target }) {
  return new Promise((resolve, reject) => {
    protocol
      .get({ ...target, socketPath, agent: false }, response => text(response).then(resolve, reject))
      .on('error', reject);
  });
}

/** Connections, one after the other, which the workers answer: with round robin, each of them. */
async function assertServed(server, target, policy) {
  const ask = async () => {
    const answer = await clients[server](target);
    assert.match(answer, /^worker [12]\n$/);
    return answer;
  };
  await askUntilAll(policy === 'rr' ? 2 : 1, ask);
}

for (const policy of ['rr', 'none']) {
  for (const server of Object.keys(clients)) {
    test(`${server} on a TCP port, policy ${policy}`, async () => {
      const env = { SERVER: server, POLICY: policy, LISTEN: '{"port":0,"host":"127.0.0.1"}' };
      await run(PROGRAM, { env }, async program => {
        const [, { address }] = await program.events('listening', 2);
        await assertServed(server, { host: '127.0.0.1', port: address.port }, policy);
      });
    });
  }

  test(`http on IPv4 and IPv6 at once, policy ${policy}`, async () => {
    const env = { SERVER: 'http', POLICY: policy, LISTEN: '{"port":0}' };
    await run(PROGRAM, { env }, async program => {
      const [, { address }] = await program.events('listening', 2);
      for (const host of ['127.0.0.1', '::1'])
        await assertServed('http', { host, port: address.port }, policy);
    });
  });

  test(`http on a Unix socket, policy ${policy}`, async () => {
    const path = socketPath(policy);
    const env = { SERVER: 'http', POLICY: policy, LISTEN: JSON.stringify({ path }) };
    await run(PROGRAM, { env }, async program => {
      const [, { address }] = await program.events('listening', 2);
      assert.deepEqual(address, { addressType: -1, address: path, port: -1 });
      await assertServed('http', { path }, policy);
    });
  });

  test(`http on a descriptor of the primary, policy ${policy}`, async () => {
    const env = { SERVER: 'http', POLICY: policy, LISTEN: 'fd' };
    await run(PROGRAM, { env }, async program => {
      const [, { address }] = await program.events('listening', 2);
      assert.equal(address.addressType, null);
      await assertServed('http', { host: '127.0.0.1', port: address.port }, policy);
    });
  });
}

for (const what of ['connection', 'handle']) {
  test(`the first ${what} of a worker that has one descriptor left is served once it has more`, async () => {
    const options = { env: { WHAT: what }, descriptors: 128, exits: [0] };
    await run('engine/programs/starved-worker.js', options, async program => {
      await program.lines(/^no descriptor is left$/);
      await program.lines(/^served$/);
    });
  });
}

test('a worker that listens and has nothing to say needs no thread of ours', async () => {
  await run('engine/programs/threads.js', { exits: [0] }, async program => {
    await program.lines(/^threads: $/);
    await program.end();
  });
});
