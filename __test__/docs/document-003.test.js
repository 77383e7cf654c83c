'use strict';

const assert = require('node:assert/strict');
const os = require('node:os');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { get } = require('../support/http');
const { run } = require('../support/program');

const numCPUs = os.cpus().length;

test('a worker a CPU, and a new one for each that died', async () => {
  const port = await freePort();
  await run('docs/programs/restart.js', { env: { PORT: port }, exits: ['SIGTERM', 7] }, async program => {
    const [{ pid }] = await program.events('listening', numCPUs);
    assert.deepEqual(await get(port), { status: 200, body: 'Hey guys' });

    process.kill(pid, 'SIGTERM');
    await program.lines(new RegExp(`^worker ${pid} died \\(SIGTERM\\)\\. restarting\\.\\.\\.$`));
    await program.events('listening', numCPUs + 1);
    assert.deepEqual(await get(port), { status: 200, body: 'Hey guys' });

    await assert.rejects(get(port, '/fail'), { code: 'ECONNRESET' });
    await program.lines(/^worker \d+ died \(7\)\. restarting\.\.\.$/);
    await program.events('listening', numCPUs + 2);
    assert.deepEqual(await get(port), { status: 200, body: 'Hey guys' });
  });
});
