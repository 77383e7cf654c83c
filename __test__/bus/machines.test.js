'use strict';

// Machines that are joined by brokers that people run, over the clients that they use. This process is one machine; another
// is a program with two workers. The broker is killed under load, refuses, and is shared with others.

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const { test } = require('node:test');
const { missing, startBroker } = require('../support/broker');
const { run } = require('../support/program');
const way = require('../support/way');

const noBus = way === 'node' && "Node's own cluster has no bus";
const { BroadcastChannel, bridge } = noBus ? {} : require('rust-cluster/bus');
const CLIENTS = noBus ? {} : require('../support/broker-clients');

/** As `test`, with each client; where there is no broker for it, the name says so. */
function testAll(name, body) {
  for (const client of ['nats', '@nats-io/transport-node', 'ioredis', 'redis']) {
    const { broker: kind } = CLIENTS[client] ?? {};
    const lacks = kind && missing(kind);
    const title = `${name}, over ${client}`;
    test(lacks ? `${title}: skipped, ${lacks}` : title, { skip: noBus || Boolean(lacks) }, t =>
      body(t, client, kind),
    );
  }
}

/** This process as a machine, until the test ends. */
async function join(t, client, at, options = {}) {
  const { transport, end } = await CLIENTS[client].connect(at);
  const joined = bridge(transport, { machine: 'here', channels: ['said', 'heard', 'local'], ...options });
  const errors = [];
  joined.on('error', error => errors.push(error));
  t.after(async () => {
    await joined.close();
    await end();
  });
  return Object.assign(joined, { errors });
}

/** What arrives on a channel of this process. */
function listen(t, name) {
  const channel = new BroadcastChannel(name);
  const all = new EventEmitter();
  const heard = Object.assign([], {
    channel,
    async until(condition) {
      while (!heard.some(condition)) await once(all, 'more');
    },
  });
  channel.onmessage = ({ data, from }) => {
    heard.push({ ...data, at: from });
    all.emit('more');
  };
  channel.ongap = ({ missed }) => heard.push({ gap: missed });
  t.after(() => channel.close());
  return heard;
}

/** Another machine, of two workers, while something is done. */
function beside(client, at, body, { name = 'there', ...env } = {}) {
  const all = { CLIENT: client, AT: JSON.stringify(at), MACHINE: name, PREFIX: 'app', ...env };
  return run('bus/programs/machine.js', { env: all, exits: [0, 0] }, async program => {
    await program.lines(/"ready"/);
    await body(program);
    program.process.kill('SIGTERM');
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });
}

/** As `once`, whatever errors are told of meanwhile. */
const happens = (emitter, event) => new Promise(resolve => emitter.once(event, resolve));

testAll(
  'what one machine posts arrives at the workers of the others, in its order',
  async (t, client, kind) => {
    const at = { port: (await startBroker(t, kind)).port };
    const joined = await join(t, client, at, { prefix: 'app' });
    const heard = listen(t, 'heard');
    const said = listen(t, 'said');
    await joined.ready();
    await beside(client, at, async () => {
      for (let n = 1; n <= 1000; n++) said.channel.postMessage({ n, map: new Map([[n, 1]]) });
      await heard.until(it => it.data?.n === 1000 && it.by === 0);
      await heard.until(it => it.data?.n === 1000 && it.by === 1);
    });
    for (const slot of [0, 1]) {
      const own = heard.filter(({ by }) => by === slot);
      assert.equal(own.length, 1000);
      assert.ok(own.every(({ inOrder, data }) => inOrder && data.map.get(data.n) === 1));
      assert.deepEqual(own[0].from, { machine: 'here', slot: 'primary' });
      assert.deepEqual(own[0].at, { machine: 'there', slot });
    }
    assert.deepEqual([...said], [], 'no echo');
    assert.deepEqual(joined.errors, []);
  },
);

testAll(
  'a broker that is killed under load and comes back empty leaves gaps, and nobody waits for it',
  async (t, client, kind) => {
    const broker = await startBroker(t, kind);
    const at = { port: broker.port };
    const joined = await join(t, client, at, { prefix: 'app' });
    const heard = listen(t, 'heard');
    const [said, local] = [listen(t, 'said'), listen(t, 'said')];
    await joined.ready();
    await beside(client, at, async program => {
      let n = 0;
      let posting = true;
      const load = (async () => {
        while (posting) {
          for (let i = 0; i < 5; i++) said.channel.postMessage({ n: ++n });
          // The others have to keep up with it, on a machine that is busy.
          await new Promise(resolve => setTimeout(resolve, 5));
        }
      })();
      await heard.until(it => it.data?.n > 100);
      const gone = happens(joined, 'disconnected');
      await broker.kill();
      await gone;
      const before = n;
      // Here all goes on.
      await local.until(it => it.n > before + 100);
      const back = happens(joined, 'connected');
      await broker.start();
      await back;
      await joined.ready();
      const again = n;
      for (const slot of [0, 1]) await heard.until(it => it.data?.n > again && it.by === slot);
      // Each is told that the broker was away.
      for (const slot of [0, 1]) await program.lines(new RegExp(`"gap ${slot}","unknown"`));
      posting = false;
      await load;
    });
    for (const slot of [0, 1]) {
      const own = heard.filter(({ by }) => by === slot);
      assert.ok(own.every(({ inOrder }) => inOrder !== false));
      const numbers = own.flatMap(({ data }) => data?.n ?? []);
      assert.equal(new Set(numbers).size, numbers.length, 'none comes twice');
    }
    assert.ok(
      heard.some(it => 'gap' in it && it.gap === undefined && !('by' in it)),
      'and so is this process',
    );
  },
);

testAll('applications with prefixes of their own do not hear each other', async (t, client, kind) => {
  const at = { port: (await startBroker(t, kind)).port };
  const joined = await join(t, client, at, { prefix: 'app' });
  const heard = listen(t, 'heard');
  const said = listen(t, 'said');
  await beside(client, at, () =>
    beside(
      client,
      at,
      async () => {
        await joined.ready();
        said.channel.postMessage({ n: 1 });
        await heard.until(({ by }) => by === 0);
        await heard.until(({ by }) => by === 1);
      },
      { name: 'elsewhere', PREFIX: 'other' },
    ),
  );
  assert.equal(heard.length, 2);
  assert.deepEqual(joined.figures().dropped, {});
});

testAll('wrong credentials are told as such, and this machine goes on', async (t, client, kind) => {
  const at = { port: (await startBroker(t, kind, { password: 'right' })).port };
  if (kind === 'nats') {
    // Its clients refuse at once.
    await assert.rejects(CLIENTS[client].connect({ ...at, password: 'wrong' }), /authoriz/i);
    return;
  }
  const joined = await join(t, client, { ...at, password: 'wrong', again: false });
  while (!joined.errors.some(({ code }) => code === 'ERR_RUST_CLUSTER_BRIDGE_REFUSED'))
    await once(joined, 'error');
  assert.equal(joined.connected, false);
  const [one, other] = [listen(t, 'local'), listen(t, 'local')];
  one.channel.postMessage({ n: 1 });
  await other.until(({ n }) => n === 1);
});
