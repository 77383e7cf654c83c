'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');
const { test } = require('node:test');
const { get } = require('../support/http');
const { example, successorsPort, whoAnswers, COUNT, IDS } = require('./example');

const ANSWER = /^worker (\d+)\n$/;

test('rolling-restart.js: SIGHUP replaces every worker, and no request is lost', () =>
  example('rolling-restart.js', { exits: new Array(COUNT).fill(0) }, async (program, port) => {
    await program.lines(/^ready: pid \d+$/);
    let restarting = true;
    const client = async () => {
      let answers = 0;
      for (; restarting; answers++) assert.match((await get(port)).body, ANSWER);
      return answers;
    };
    const clients = [client(), client(), client(), client()];
    process.kill(program.pid, 'SIGHUP');
    await program.lines(/^restarted$/);
    restarting = false;
    for (const answers of await Promise.all(clients)) assert.ok(answers > 0);
    assert.deepEqual(
      await whoAnswers(port, ANSWER),
      IDS.map(id => id + COUNT),
    );
    // No worker has gone before its successor listened.
    let listening = 0;
    for (const { event } of program.history) {
      if (event === 'listening') listening++;
      if (event === 'exit') assert.ok(listening-- > COUNT, JSON.stringify(program.history));
    }
  }));

test('rolling-restart.js: SIGTERM ends it, and a worker that does not end is killed', () => {
  const exits = [...new Array(COUNT - 1).fill(0), 'SIGKILL'];
  return example('rolling-restart.js', { env: { DEADLINE: 5000 }, exits }, async (program, port) => {
    await program.lines(/^ready: pid \d+$/);
    // A request that never ends keeps its worker from ending.
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.1\r\nHost: ');
    // The next connections are accepted after it.
    await whoAnswers(port, ANSWER);
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    socket.destroy();
  });
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`rolling-restart.js: ${signal} to all its processes ends none before the primary says so`, () =>
    example('rolling-restart.js', { exits: new Array(COUNT).fill(0) }, async program => {
      await program.lines(/^ready: pid \d+$/);
      process.kill(-program.pid, signal);
      assert.deepEqual(await program.end(), { code: 0, signal: null });
    }));
}

test('rolling-restart.js: a worker that crashes is replaced', () =>
  example('rolling-restart.js', { exits: ['SIGKILL'] }, async (program, _port, [{ pid }]) => {
    await program.lines(/^ready: pid \d+$/);
    process.kill(pid, 'SIGKILL');
    await program.lines(/^worker \d+ has crashed$/);
    const port = await successorsPort(program);
    assert.ok((await whoAnswers(port, ANSWER)).includes(COUNT + 1));
  }));
