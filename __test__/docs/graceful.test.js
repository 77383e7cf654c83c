'use strict';

// The programs in docs/graceful.md, as they stand there, do what it says of them.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { WebSocket } = require('ws');
const { programsOf } = require('../support/document');
const { get } = require('../support/http');
const { run } = require('../support/program');
const { readSlowly } = require('../support/slow-reader');

const { names, folder } = programsOf('graceful.md', ['ws']);

/** Runs a program of the document; those that serve do so on a port that is free. */
const program = (name, options, body) =>
  run(path.join(folder, name), { ...options, env: { PORT: 0, ...options.env } }, body);

/** Tells all processes of a program to end, as systemd and terminals do. */
const stop = ({ pid }) => process.kill(-pid, 'SIGTERM');

async function portOf(program) {
  const [{ address }] = await program.events('listening', 2);
  return address.port;
}

/** A stream of events, once its first one has come. */
async function subscribe(port) {
  const request = http.get({ host: '127.0.0.1', port, path: '/events', agent: false });
  const [response] = await once(request, 'response');
  const [first] = await once(response.setEncoding('utf8'), 'data');
  assert.match(first, /^data: hello$/m);
  return response.resume();
}

test('there are four programs, and each is tried here', () =>
  assert.deepEqual(names, ['sse.js', 'websockets.js', 'health.js', 'logs.js']));

test('sse.js: streams are ended, and then the workers', () =>
  program('sse.js', { exits: [0, 0] }, async program => {
    const port = await portOf(program);
    const streams = await Promise.all([subscribe(port), subscribe(port), subscribe(port)]);
    const ended = streams.map(stream => once(stream, 'end'));
    assert.equal((await get(port)).body, 'hello\n');
    stop(program);
    await Promise.all(ended);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  }));

test('sse.js: a worker that does not end by the deadline is killed', () =>
  program('sse.js', { env: { DEADLINE: 5000 }, exits: [0, 'SIGKILL'] }, async program => {
    const [{ pid }] = await program.events('listening', 2);
    process.kill(pid, 'SIGSTOP');
    stop(program);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  }));

test('websockets.js: clients are told that it goes away', () =>
  program('websockets.js', { exits: [0, 0] }, async program => {
    const port = await portOf(program);
    const connect = async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`);
      const [greeting] = await once(socket, 'message');
      assert.match(`${greeting}`, /^worker [12]$/);
      return socket;
    };
    const clients = await Promise.all([connect(), connect(), connect(), connect()]);
    const closed = clients.map(socket => once(socket, 'close'));
    stop(program);
    for (const [code] of await Promise.all(closed)) assert.equal(code, 1001);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  }));

test('health.js: it is not ready any more while it serves on', () =>
  program('health.js', { env: { HEALTH_PORT: 0, NOTICE: 60_000 } }, async program => {
    const port = await portOf(program);
    const [[, healthPort]] = await program.lines(/^health on port (\d+)$/);
    const health = async path => (await get(Number(healthPort), path)).status;
    assert.deepEqual([await health('/live'), await health('/ready')], [200, 200]);
    stop(program);
    while ((await health('/ready')) === 200);
    assert.deepEqual([await health('/live'), (await get(port)).status], [200, 200]);
  }));

test('health.js: it ends then', () =>
  program('health.js', { env: { HEALTH_PORT: 0, NOTICE: 1 }, exits: [0, 0] }, async program => {
    await portOf(program);
    stop(program);
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  }));

test('logs.js: every line is whole, however slow its reader is, and says of whom it is', () => {
  const count = 10_000;
  return program('logs.js', { env: { LINES: count }, exits: [0, 0], ownLines: true }, async program => {
    readSlowly(program.process.stdout);
    await program.end();
    const lines = program.stdout.map(line => JSON.parse(line));
    const of = number => lines.filter(({ worker }) => worker === number);
    assert.deepEqual(
      [1, 2].map(number => of(number).map(({ count }) => count)),
      [1, 2].map(() => Array.from({ length: count }, (_, place) => place + 1)),
    );
    assert.deepEqual(
      of(0)
        .map(({ level, ended }) => [level, ended])
        .sort(),
      [
        ['info', 1],
        ['info', 2],
      ],
    );
  });
});
