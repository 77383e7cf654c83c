'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { get } = require('../support/http');
const { run } = require('../support/program');

test('three workers that listen on port 0 share one port', () =>
  run('docs/programs/same-port.js', {}, async program => {
    const started = await program.lines(/^工作进程 (\d+) 已启动$/, 3);
    const listening = await program.events('listening', 3);
    const ports = new Set(listening.map(({ address }) => address.port));

    assert.equal(ports.size, 1);
    assert.deepEqual(started.map(([, pid]) => Number(pid)).sort(), listening.map(({ pid }) => pid).sort());
    const [port] = ports;
    assert.deepEqual(await get(port), { status: 200, body: 'hello world' });
  }));

test("a killed worker is still in cluster.workers at 'disconnect', and gone at 'exit'", () =>
  run('docs/programs/workers-at-disconnect.js', { exits: ['SIGTERM'] }, async program => {
    const [{ pid }] = await program.events('online');
    process.kill(pid, 'SIGTERM');

    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, ["1111 [ '1' ]", '2222 []']);
  }));

test("'exit' tells the signal that ended the worker", () =>
  run('docs/programs/exit-by-signal.js', { exits: ['SIGTERM'] }, async program => {
    const [{ pid }] = await program.events('online');
    process.kill(pid, 'SIGTERM');

    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, ["1111 null 'SIGTERM'"]);
  }));

test('a message of a worker reaches the primary', async () => {
  const port = await freePort();
  await run('docs/programs/message-to-primary.js', { env: { PORT: port } }, async program => {
    await program.lines(/^1111 \{ test: 1 \}$/);
    const [[, pid]] = await program.lines(/^工作进程 (\d+) 已启动$/);
    const [worker] = await program.events('listening');

    assert.equal(Number(pid), worker.pid);
    assert.deepEqual(await get(port), { status: 200, body: '你好世界\n' });
  });
});

test('a message of the primary reaches the worker', async () => {
  const port = await freePort();
  await run('docs/programs/message-to-worker.js', { env: { PORT: port } }, async program => {
    await program.lines(/^\[ \{ test: 1 \}, undefined \]$/);
    await program.lines(/^工作进程 \d+ 已启动$/);
    await program.events('listening');

    assert.deepEqual(await get(port), { status: 200, body: '你好世界\n' });
    // cluster.workers, which only the primary has
    await program.lines(/^undefined$/);
  });
});

test("worker.disconnect() ends the worker with code 0, 'disconnect' before 'exit'", () =>
  run('docs/programs/disconnect-with-timer.js', { env: { TIMEOUT: 60_000 }, exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(program.stdout, ['已关闭', '已退出 [ 0, null ]']);
  }));

test('the timer of worker.disconnect() kills a worker that is blocked', () =>
  run(
    'docs/programs/disconnect-with-timer.js',
    { env: { TIMEOUT: 100, BLOCKED: 'yes' }, exits: ['SIGTERM'] },
    async program => {
      assert.deepEqual(await program.end(), { code: 0, signal: null });
      assert.deepEqual(program.stdout, ['已关闭', "已退出 [ null, 'SIGTERM' ]"]);
    },
  ));

test('id, isConnected(), isDead() and exitedAfterDisconnect before and after disconnect() and kill()', () =>
  run('docs/programs/exited-after-disconnect.js', { exits: [0, 'SIGTERM'] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(
      program.stdout.filter(line => line.includes(' 1 ')),
      [
        'before 1 true false undefined',
        'after 1 true false true',
        'disconnect 1 false false true',
        'exit 1 false true true',
      ],
    );
    // The document has exitedAfterDisconnect true after kill() too; Node's kill() in the primary only signals.
    assert.deepEqual(
      program.stdout.filter(line => line.includes(' 2 ')),
      [
        'before 2 true false undefined',
        'after 2 true false undefined',
        'disconnect 2 false false false',
        'exit 2 false true false',
      ],
    );
  }));
