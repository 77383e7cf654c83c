'use strict';

const assert = require('node:assert/strict');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { assertConversation } = require('../support/conversation');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');
const { bodiesOf, get, getMany, send } = require('../support/http');
const { run } = require('../support/program');

const ONE_EACH = path.join(__dirname, '..', 'support', 'one-each.js');
const IN_TURN = path.join(__dirname, '..', 'support', 'in-turn.js');

const numCPUs = os.cpus().length;

test('every worker is listed with the same address and port', () =>
  run('docs/programs/listening-table.js', { exits: ['SIGTERM'] }, async program => {
    // The document shows 0.0.0.0, Node's address of the time for all interfaces; it has become null.
    const table = await program.lines(/^listening: worker (\d+), Address: null:(\d+)$/, numCPUs);
    const workers = await program.events('listening', numCPUs);
    const [{ pid, address }] = workers;

    assert.equal(program.stdout[0], 'master start...');
    assert.deepEqual(
      table.map(([line]) => line),
      workers.map(worker => `listening: worker ${worker.pid}, Address: null:${address.port}`),
    );
    assert.deepEqual(await get(address.port), { status: 200, body: 'hello world \n' });
    process.kill(pid, 'SIGTERM');
    await program.lines(new RegExp(`^worker ${pid} died$`));
  }));

test('the primary and its workers talk to each other', () =>
  run('docs/programs/conversation.js', { exits: new Array(numCPUs).fill(0) }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });

    assert.equal(program.stdout[0], '{master} start master...');
    for (let id = 1; id <= numCPUs; id++) {
      assertConversation(program.stdout, id, [
        `{master} disconnect: worker${id}`,
        `{master} exit worker ${id} died`,
      ]);
    }
    assert.equal(program.stdout.length, 1 + numCPUs * 9);
  }));

test('each of four workers answers', async () => {
  const env = { PORT: await freePort(), WORKERS: 4 };
  await run('docs/programs/balance.js', { env }, async program => {
    const workers = await program.events('listening', 4);
    const table = await program.lines(/^\[master\] listening: /, 4);
    await program.lines(/^\[worker\] start worker \.\.\.[1-4]$/, 4);

    assert.equal(program.stdout[0], '[master] start master...');
    assert.deepEqual(
      table.map(({ input }) => input),
      workers.map(({ id, pid }) => `[master] listening: worker${id},pid:${pid}, Address:null:${env.PORT}`),
    );
    assert.deepEqual(
      await bodiesOf(4, env.PORT),
      workers.map(({ id, pid }) => `worker${id},PID:${pid}`).sort(),
    );
  });
});

/** How many of the answers each worker has given. */
function countAnswers(workers, responses) {
  const counts = Object.fromEntries(workers.map(({ id, pid }) => [`worker${id},PID:${pid}`, 0]));
  for (const { status, body } of responses) {
    assert.equal(status, 200);
    counts[body]++;
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count);
  assert.equal(total, responses.length, 'every answer is of one of the four');
  return counts;
}

// A worker that the machine gives no processor is passed over for a while, and the log says so after 70 ms.
const PASSED_OVER = /Master Worker \d+ (stuck|recovered)$/;

/** Sends requests, `together` at a time, to four workers, which have their turns. */
async function balance(requests, together, body) {
  const stderr = new RegExp(`Master Worker \\d+ online$|${PASSED_OVER.source}`);
  const env = { PORT: await freePort(), WORKERS: 4, NODE_DEBUG: 'cluster' };
  const nodeArgs = ['--require', IN_TURN];
  await run('docs/programs/balance.js', { env, stderr, nodeArgs }, async program => {
    const workers = await program.events('listening', 4);
    const counts = countAnswers(workers, await getMany(env.PORT, requests, together));
    process.kill(program.pid, 'SIGUSR2');
    await program.lines(/^all is told$/);
    const inTurn = differences.strictRoundRobin && !program.stderr.some(line => PASSED_OVER.test(line));
    for (const count of Object.values(counts)) {
      const off = Math.abs(count - requests / 4);
      assert.ok(inTurn ? off <= 1 : count > 0, JSON.stringify(counts));
    }
    await body?.(program, workers, counts);
  });
}

test('requests, one after the other, are spread over four workers', () => balance(400, 1));

test('3760 requests, 50 at a time, are spread over four workers', () =>
  balance(3760, 50, async (program, workers, counts) => {
    const log = await program.lines(/^worker[1-4]$/, 3760);
    const logged = id => log.filter(([line]) => line === `worker${id}`).length;
    assert.deepEqual(
      workers.map(({ id }) => logged(id)),
      Object.values(counts),
    );
  }));

test('the properties and functions of cluster and of a worker', () =>
  run('docs/programs/api.js', { exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    const [{ pid }] = await program.events('online');
    const worker = {
      id: 1,
      pid,
      send: 'function',
      kill: 'function',
      destroy: 'function',
      disconnect: 'function',
    };
    const primary = {
      isMaster: true,
      isWorker: false,
      settings: 'object',
      setupMaster: 'function',
      fork: 'function',
      disconnect: 'function',
      worker: 'undefined',
      workers: ['1'],
      isChildProcess: true,
    };
    const inWorker = {
      ...worker,
      isMaster: false,
      isWorker: true,
      fork: 'undefined',
      workers: 'undefined',
    };
    assert.deepEqual(program.stdout, [
      `primary ${JSON.stringify(primary)}`,
      `worker in the primary ${JSON.stringify(worker)}`,
      `worker in the worker ${JSON.stringify(inWorker)}`,
    ]);
  }));

test('worker.suicide is the old name of exitedAfterDisconnect', () =>
  run('docs/programs/suicide.js', { exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    const after = differences.suicide ? 'true' : 'undefined';
    assert.deepEqual(program.stdout.toSorted(), [
      `after ${after}`,
      'before undefined',
      `exit ${after}`,
      `in the worker ${after}`,
    ]);
  }));

test('cluster.disconnect(callback) lets every worker finish', async () => {
  const port = await freePort();
  const options = { env: { PORT: port }, nodeArgs: ['--require', ONE_EACH], exits: [0, 0, 0] };
  await run('docs/programs/disconnect-all.js', options, async program => {
    const workers = await program.events('listening', 3);
    const open = workers.map(() => send(port, { method: 'POST' }));
    for (const { request } of open) request.write('the first half');
    const busy = await program.lines(/^worker (\d) has a request$/, 3);
    assert.deepEqual(busy.map(([, id]) => id).sort(), ['1', '2', '3']);

    for (const [index, { request, response }] of open.entries()) {
      request.end('the second half');
      assert.equal((await response).status, 200);
      await program.events('exit', index + 1);
    }
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    const stillConnected = differences.disconnectWaitsForAll ? 0 : 2;
    assert.equal(program.stdout.at(-1), `called back with ${stillConnected} still connected`);
    assert.equal(program.stdout.length, 4);
  });
});
