'use strict';

// Workers that cannot be started: what the program is told, what is left behind, and that the next one starts when the
// cause is gone.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const { cases, say } = require('../../support/cases');
const { descriptors } = require('../../support/descriptors');

const { ROOM } = process.env;

/** What came of a fork. */
async function attempt(cluster, env) {
  let worker;
  try {
    worker = cluster.fork(env);
  } catch ({ code, syscall }) {
    return { thrown: code, syscall };
  }
  const failed = once(worker, 'error').then(([error]) => error);
  const error = await Promise.race([failed, once(worker, 'online').then(() => undefined)]);
  if (error) {
    if (worker.isConnected()) await once(worker, 'disconnect');
    const { code, syscall, path, spawnargs } = error;
    return { event: code, syscall, path, spawnargs, left: Object.keys(cluster.workers).length };
  }
  worker.process.kill();
  await once(worker, 'exit');
  return 'started';
}

/** What the loop still has to close is closed. */
const settled = async () => {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
  return Object.keys(descriptors()).length;
};

/** Two that fail leave no more descriptors than one. */
async function failTwice(cluster, env) {
  const first = await attempt(cluster, env);
  const after = await settled();
  const second = await attempt(cluster, env);
  say('outcome', first);
  say('the same again', JSON.stringify(first) === JSON.stringify(second));
  say('left open', (await settled()) - after);
}

/** Starts processes until the system refuses the next. */
function fillProcesses() {
  const all = [];
  for (;;) {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    if (!child.pid) {
      child.on('error', () => {});
      return all;
    }
    all.push(child);
  }
}

const end = children =>
  Promise.all(
    children.map(child => {
      child.kill();
      return once(child, 'exit');
    }),
  );

/** Opens files until only so many descriptors are left. */
function fillDescriptors(left) {
  const all = [];
  try {
    for (;;) all.push(fs.openSync('/dev/null'));
  } catch {}
  for (const fd of all.splice(0, left)) fs.closeSync(fd);
  return all;
}

const worker = () => {};

cases({
  'no process': {
    async primary(cluster) {
      const children = fillProcesses();
      await end(children.splice(0, Number(ROOM)));
      await failTwice(cluster);
      await end(children);
      say('then', await attempt(cluster));
    },
    worker,
  },

  'no descriptor': {
    async primary(cluster) {
      if (process.env.SECOND) await attempt(cluster);
      let before;
      for (let left = 0, started = false; !started; left++) {
        const files = fillDescriptors(left);
        const outcome = await attempt(cluster);
        for (const fd of files) fs.closeSync(fd);
        started = outcome === 'started';
        const after = await settled();
        if (!started) say('outcome', outcome);
        if (left > 0 && !started) say('left open', after - before);
        before = after;
      }
      say('then', await attempt(cluster));
    },
    worker,
  },

  'too much': {
    async primary(cluster) {
      await failTwice(cluster, { BIG: 'x'.repeat(3e6) });
      say('then', await attempt(cluster));
    },
    worker,
  },

  'no program': {
    async primary(cluster) {
      const { execPath } = process;
      process.execPath = process.env.PROGRAM;
      cluster.setupPrimary({ silent: true });
      await failTwice(cluster);
      process.execPath = execPath;
      say('then', await attempt(cluster));
    },
    worker,
  },
});
