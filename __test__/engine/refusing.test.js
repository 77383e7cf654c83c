'use strict';

// Workers that are full (maxConnections): others get what comes; what nobody takes waits, is offered seldom, and is
// served when there is room. Giving back never holds a worker up, whatever the primary does.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const proc = require('../support/proc');
const { run } = require('../support/program');
const way = require('../support/way');

const PROGRAM = 'engine/programs/full-workers.js';
const IN_TURN = path.join(__dirname, '..', 'support', 'in-turn.js');
const asksAlways = way === 'node' && "Node's own cluster asks one after the other, without a pause";
const primaryServes = way === 'node' && "Node's own primary has what no worker takes, and is stopped";

/** The most offers a second for one listener. */
const MOST_OFFERS = 100;

async function connect(port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** The worker that serves a connection. */
const worker = async socket => `${(await once(socket, 'data'))[0]}`;

/** The same, which ends it. */
async function serve(socket) {
  const id = await worker(socket);
  socket.destroy();
  return id;
}

/** Connects one client after the other until each worker serves one. */
async function fill(port, workers) {
  const held = new Map();
  for (let i = 0; i < workers; i++) {
    const socket = await connect(port);
    held.set(await worker(socket), socket);
  }
  assert.equal(held.size, workers);
  return held;
}

const asked = (program, id = '\\d+') =>
  program.stdout.filter(line => line.match(`^at \\S+ asked ${id}$`)).length;

for (const workers of [2, 4]) {
  test(`what ${workers} full workers do not take is offered seldom, and served when there is room`, {
    skip: asksAlways,
  }, async () => {
    await run(PROGRAM, { env: { MOST: Array(workers).fill(1) } }, async program => {
      const [{ address }] = await program.events('listening', workers);
      const held = await fill(address.port, workers);
      const before = asked(program);
      const waits = await connect(address.port);
      // Each is asked once; how often from then on?
      const settled = before + 2 * workers;
      const offers = 30;
      const lines = await program.lines(/^at (\S+) asked/, settled + offers);
      const times = lines.slice(settled).map(([, time]) => Number(time));
      const seconds = (Math.max(...times) - Math.min(...times)) / 1000;
      assert.ok(offers <= MOST_OFFERS * seconds + 1, `${offers} offers in ${seconds} s`);

      const [[id, first]] = held;
      first.destroy();
      assert.equal(await worker(waits), id);
    });
  });
}

test('a full worker is not asked while another one is free, and is when it has room again', {
  skip: asksAlways,
}, async () => {
  const options = {
    env: { MOST: '1,-', NODE_DEBUG: 'cluster' },
    nodeArgs: ['--require', IN_TURN],
    stderr: /,Master Worker /,
  };
  await run(PROGRAM, options, async program => {
    const [{ address }] = await program.events('listening', 2);
    const served = [];
    const next = async () => {
      const socket = await connect(address.port);
      served.push({ id: await worker(socket), socket });
      return served.at(-1).id;
    };
    while (!served.some(({ id }) => id === '1')) await next();
    // The next one that is its own by turns it refuses.
    while (!program.stdout.includes('full 1')) await next();
    const before = asked(program, 1);
    for (let i = 0; i < 10; i++) assert.equal(await next(), '2');
    const after = asked(program, 1);
    process.kill(program.pid, 'SIGUSR2');
    await program.lines(/^all is told$/);
    // One that gets no processor for 70 ms is not free.
    if (!program.stderr.some(line => /Worker \d+ stuck$/.test(line))) assert.equal(after, before);

    served.find(({ id }) => id === '1').socket.destroy();
    await program.lines(/^closed 1$/);
    // Nobody asks it before it says so.
    while ((await next()) !== '1');
  });
});

test('many that wait are served one after the other as there is room', async () => {
  await run(PROGRAM, { env: { MOST: '1,2' } }, async program => {
    const [{ address }] = await program.events('listening', 2);
    const clients = Array.from({ length: 700 }, () => net.connect(address.port, '127.0.0.1'));
    const ids = await Promise.all(clients.map(serve));
    assert.deepEqual([...new Set(ids)].toSorted(), ['1', '2']);
  });
});

/** Has clients connect while the workers are stopped: what the kernel has no more is in their queues. */
async function overfill(program, { address: { port } }, clients, queued) {
  const workers = program.history.filter(({ event }) => event === 'listening').map(({ pid }) => pid);
  workers.forEach(proc.stop);
  const waiting = await Promise.all(Array.from({ length: clients }, () => connect(port)));
  while (proc.backlog(program.pid, port) > clients - queued) await new Promise(setImmediate);
  return { workers, waiting };
}

const resume = pids => pids.map(pid => proc.signal(pid, 'SIGCONT'));

test('full workers serve the connections that they have while the primary is stopped', {
  skip: primaryServes,
}, async () => {
  await run(PROGRAM, { env: { MOST: '1,1' } }, async program => {
    const [listening] = await program.events('listening', 2);
    const held = await fill(listening.address.port, 2);
    const { workers, waiting } = await overfill(program, listening, 400, 100);
    const before = asked(program);
    proc.stop(program.pid);
    resume(workers);
    // What is in their queues is given back, be it all in one.
    await program.lines(/ asked \d$/, before + 1);
    for (const socket of held.values()) {
      socket.write('ping');
      assert.equal(await worker(socket), 'ping');
    }
    resume([program.pid]);
    for (const socket of held.values()) socket.destroy();
    await Promise.all(waiting.map(serve));
  });
});

test('workers whose primary dies while they give back end as they do otherwise', {
  skip: way === 'node' && "workers of Node's own cluster end with an uncaught EPIPE",
}, async () => {
  await run(PROGRAM, { env: { MOST: '1,1' } }, async program => {
    const [listening] = await program.events('listening', 2);
    await fill(listening.address.port, 2);
    const { workers } = await overfill(program, listening, 20, 10);
    proc.signal(program.pid, 'SIGKILL');
    await program.exit;
    resume(workers);
    await program.lines(/^exit 0 of \d$/, 2);
    assert.deepEqual(await program.end(), { code: null, signal: 'SIGKILL' });
  });
});
