'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { test } = require('node:test');
const { get, send } = require('../support/http');
const way = require('../support/way');
const { example, successorsPort, whoAnswers, COUNT, IDS } = require('./example');

const HELLO = /^Hello from worker (\d+) \(pid \d+\)\n$/;

test('http.js: it tells what happens to its workers, and who has which connections', () =>
  example('http.js', {}, async (program, port, workers) => {
    assert.deepEqual(await whoAnswers(port, HELLO), IDS);
    for (const { id, pid } of workers) {
      const name = `worker ${id} \\(pid ${pid}\\)`;
      await program.lines(new RegExp(`^\\S+ {2}${name} is online$`));
      await program.lines(new RegExp(`^\\S+ {2}${name} listens: curl http://127.0.0.1:${port}/$`));
      await program.lines(new RegExp(`connections so far: .*\\bworker ${id}: [1-9]`));
    }
  }));

test('http.js: a worker that crashes is replaced', () =>
  example('http.js', { exits: [1] }, async (program, first) => {
    await get(first, '/crash');
    await program.lines(/worker \d+ \(pid \d+\) has ended \(1\): another takes its place$/);
    const port = await successorsPort(program);
    const ids = await whoAnswers(port, HELLO);
    assert.ok(ids.includes(COUNT + 1), `${ids}`);
  }));

const skip = way === 'node' && "Node's own primary accepts connections in JavaScript";
test('http.js: requests are answered while the primary is busy', { skip }, () =>
  example('http.js', { env: { BLOCK: 3600 } }, async (program, port) => {
    await get(port, '/block');
    await program.lines(/the primary spins for 3600 s/);
    assert.deepEqual(await whoAnswers(port, HELLO), IDS);
  }),
);

test('http.js: a browser gets a page, and the spread as it changes', () =>
  example('http.js', {}, async (_program, port) => {
    const page = send(port, { headers: { accept: 'text/html' } });
    page.request.end();
    assert.match((await page.response).body, /^<!doctype html>.*new EventSource\('spread'\)/s);

    const [stream] = await once(http.get({ port, host: '127.0.0.1', path: '/spread' }), 'response');
    assert.equal(stream.headers['content-type'], 'text/event-stream');
    await get(port);
    let said = '';
    for await (const text of stream.setEncoding('utf8')) {
      said += text;
      if (/^data: .*\n\n/m.test(said)) break;
    }
    assert.ok(said.startsWith('retry: 300\n\n'), 'a browser whose worker has crashed soon asks another');
    const spread = JSON.parse(said.match(/^data: (.*)$/m)[1]);
    assert.deepEqual(spread.map(([id]) => id).sort(), IDS);
  }));

for (const signal of ['SIGINT', 'SIGTERM']) {
  test(`http.js: ${signal} ends it gracefully, open streams too`, () =>
    example('http.js', { exits: new Array(COUNT).fill(0) }, async (program, port) => {
      const [stream] = await once(http.get({ port, host: '127.0.0.1', path: '/spread' }), 'response');
      // A terminal and systemd send it to the whole group.
      process.kill(-program.pid, signal);
      await once(stream.resume(), 'end');
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    }));
}
