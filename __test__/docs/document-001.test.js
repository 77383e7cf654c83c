'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { get, send } = require('../support/http');
const { run } = require('../support/program');

test('isMaster, isWorker, fork, setupMaster and settings', () =>
  run('docs/programs/settings.js', { exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, [
      'isMaster true isWorker false',
      'settings {}',
      'settings {"exec":"settings-worker.js","args":["--use","https"],"execArgv":["--no-deprecation"]}',
      'fork true',
      'worker isMaster false isWorker true',
      'worker fork undefined setupMaster undefined',
      'worker {"exec":"settings-worker.js","args":["--use","https"],"execArgv":["--no-deprecation"],"colour":"green"}',
    ]);
  }));

test('the events of a worker, from setup to exit', async () => {
  const port = await freePort();
  await run('docs/programs/events.js', { env: { PORT: port }, exits: [3] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, [
      'setup true',
      'fork 1',
      'online 1',
      'message hello',
      `listening 1 ${port}`,
      'disconnect 1',
      'exit 1 3 null',
    ]);
  });
});

test('a worker that leaves is replaced at once and finishes its open request', async () => {
  const port = await freePort();
  await run('docs/programs/graceful-exit.js', { env: { PORT: port }, exits: [0] }, async program => {
    const [old] = await program.events('listening');
    const { request, response } = send(port, { method: 'POST', path: '/error' });
    request.write('the first half');
    await program.lines(new RegExp(`^disconnect ${old.pid}$`));

    const [, replacement] = await program.events('listening', 2);
    assert.notEqual(replacement.pid, old.pid);
    assert.deepEqual(await get(port), { status: 200, body: `${replacement.pid}` });
    assert.deepEqual(program.exits, []);

    request.end('the second half');
    assert.deepEqual(await response, { status: 200, body: `${old.pid}` });
    await program.lines(new RegExp(`^exit ${old.pid} 0$`));
  });
});

test("the guard forks on 'exit' and on 'disconnect'", () =>
  run('docs/programs/guard.js', { exits: ['SIGKILL'] }, async program => {
    const [first] = await program.events('online');
    process.kill(first.pid, 'SIGKILL');

    const online = await program.events('online', 3);
    assert.deepEqual(online.map(({ id }) => id).sort(), [1, 2, 3]);
    await program.lines(/^exit 1$/);
    assert.deepEqual(program.stdout, ['disconnect 1', 'exit 1']);
  }));

test('a worker echoes what the primary sends', () =>
  run('docs/programs/echo.js', {}, async program => {
    await program.lines(/^msg: hi there from worker#1$/);
    assert.equal(program.stdout.length, 1);
  }));

test('workers talk through the primary, by pid', () =>
  run('docs/programs/relay.js', {}, async program => {
    const online = await program.events('online', 2);
    const [asked, asking] = online.sort((a, b) => a.id - b.id).map(({ pid }) => pid);
    await program.lines(/hello to you/);

    assert.deepEqual(program.stdout, [
      `${asking} got 'say hello to me' of ${asked}`,
      `${asked} got 'hello' of ${asking}`,
      `${asking} got 'hello to you' of ${asked}`,
    ]);
  }));
