'use strict';

const assert = require('node:assert/strict');
const os = require('node:os');
const { test } = require('node:test');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');
const { askUntilAll, get } = require('../support/http');
const { run } = require('../support/program');

const numCPUs = os.cpus().length;

test('a worker a CPU answers on one port, until the last has died', async () => {
  const port = await freePort();
  const exits = new Array(numCPUs).fill('SIGKILL');
  await run('docs/programs/share-port.js', { env: { PORT: port }, exits }, async program => {
    const workers = await program.events('listening', numCPUs);
    let asked = 0;
    const answering = await askUntilAll(numCPUs, async () => {
      assert.deepEqual(await get(port), { status: 200, body: 'hello world\n' });
      return Number((await program.lines(/^worker (\d+) answers$/, ++asked)).at(-1)[1]);
    });
    assert.deepEqual([...new Set(answering)].sort(), workers.map(({ pid }) => pid).sort());

    for (const { pid } of workers) {
      assert.equal((await get(port)).status, 200);
      process.kill(pid, 'SIGKILL');
      await program.lines(new RegExp(`^worker ${pid} died$`));
    }
    await assert.rejects(get(port), { code: 'ECONNREFUSED' });
  });
});

test('NODE_DEBUG=cluster prints a line for every worker', async () => {
  const env = { NODE_DEBUG: 'cluster', PORT: await freePort() };
  const line = /^(\d+),Master Worker (\d+) online$/;
  await run('docs/programs/share-port.js', { env, stderr: line }, async program => {
    const workers = await program.events('listening', numCPUs);
    const expected = workers.map(({ pid }) => `${program.pid},Master Worker ${pid} online`);

    assert.deepEqual(program.stderr.toSorted(), differences.debugLines ? expected.sort() : []);
  });
});
