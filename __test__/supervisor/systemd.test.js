'use strict';

// What a service manager hears of a supervisor, at a datagram socket.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { describe, test } = require('node:test');
const leftovers = require('../support/leftovers');
const { manager } = require('../support/manager');
const way = require('../support/way');

const PROGRAM = path.join(__dirname, 'programs', 'notifying.js');

/** Runs the program, which is told what happens. */
async function withSupervisor(env, body) {
  const heard = await manager();
  const child = spawn(process.execPath, [PROGRAM], {
    env: { ...process.env, NOTIFY_SOCKET: heard.name, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  leftovers.track(child.pid);
  const [environment] = await once(child, 'message');
  const tell = async message => {
    child.send(message);
    await once(child, 'message');
  };
  try {
    await body({ pid: child.pid, environment, tell, next: heard.next });
  } finally {
    child.kill('SIGKILL');
    heard.stop();
  }
}

const skip = way === 'node' && "Node's cluster tells service managers nothing";

describe('a service manager', { skip }, () => {
  test('hears when all are ready, of reloads and their failure, and of the end', async () => {
    await withSupervisor({}, async ({ pid, environment, tell, next }) => {
      assert.deepEqual(environment, {}, 'workers would inherit it');
      await tell({ workers: ['ready', 'booting'] });
      await tell({ event: 'ready' });
      assert.equal(await next(), 'STATUS=1 of 2 workers ready');
      await tell({ workers: ['ready', 'ready'] });
      await tell({ event: 'all-ready' });
      assert.equal(await next(), `READY=1|MAINPID=${pid}|STATUS=2 of 2 workers ready`);
      await tell({ event: 'reload-started' });
      assert.match(await next(), /^RELOADING=1\|MONOTONIC_USEC=\d+\|STATUS=reloading$/);
      await tell({ event: 'reload-done' });
      assert.equal(await next(), `READY=1|MAINPID=${pid}|STATUS=2 of 2 workers ready`);
      await tell({ event: 'reload-started' });
      assert.match(await next(), /^RELOADING=1/);
      await tell({ event: 'reload-failed', slot: 1, why: 'it exited\nwith 1' });
      assert.equal(
        await next(),
        `READY=1|MAINPID=${pid}|STATUS=2 of 2 workers ready; the reload failed in slot 1: it exited with 1`,
      );
      await tell({ event: 'stopping' });
      assert.equal(await next(), 'STOPPING=1|STATUS=stopping');
      // What ends now is no news.
      await tell({ event: 'exited' });
      await tell({ event: 'all-ready' });
    });
  });

  test('has its watchdog fed while a worker serves', async () => {
    // Longer than any loop here stands still; a third of it is how often it is fed.
    await withSupervisor({ WATCHDOG_USEC: 300_000 }, async ({ environment, tell, next }) => {
      assert.deepEqual(environment, {});
      await tell({ workers: ['ready', 'booting'] });
      for (let i = 0; i < 3; i++) assert.equal(await next(), 'WATCHDOG=1');
      await tell({ workers: ['booting', 'booting'] });
      // Whatever was on its way is before this.
      await tell({ event: 'reload-started' });
      let line = await next();
      while (line === 'WATCHDOG=1') line = await next();
      assert.match(line, /^RELOADING=1/);
      const fed = next();
      await tell({ block: 500 });
      await tell({ event: 'exited' });
      assert.equal(await fed, 'STATUS=0 of 2 workers ready', 'nobody serves');
      await tell({ workers: ['ready'] });
      assert.equal(await next(), 'WATCHDOG=1');
    });
  });

  test('whose watchdog is for another process is not fed by us', async () => {
    const env = { WATCHDOG_USEC: 1000, WATCHDOG_PID: process.pid };
    await withSupervisor(env, async ({ tell, next }) => {
      await tell({ workers: ['ready'] });
      await tell({ block: 100 });
      await tell({ event: 'all-ready' });
      assert.match(await next(), /^READY=1/);
    });
  });
});
