'use strict';

// A worker is stuck: after at most 100 ms it gets no new connection, those in its queue are served by others,
// and it takes part again when it comes back. All stuck: connections wait, none is refused, none lost.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Rain, attempt, latency, outcomes, rain } = require('../load');
const { measureLag, now, quantile, round, sleep } = require('../time');

/** How long until a stuck worker gets nothing more, in milliseconds: the guarantee. */
const BOUND = 100;

/** Between two connections, in milliseconds. */
const EVERY = 4;

module.exports = {
  title: 'A worker is stuck (endless loop, SIGSTOP)',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections', notes: [], broken: [] };
    await withProgram('server.js', { way, env: { WORKERS: 4 } }, async program => {
      const port = await program.listening(4);
      for (let round = 0; round < (short ? 1 : 10); round++) {
        for (const how of ['stopped', 'looping']) {
          progress(`${how}, round ${round + 1}`);
          await oneStuck(program, port, { how, victim: random.pick(program.serving), result });
        }
      }
      progress('all stopped');
      await allStuck(program, port, { count: short ? 300 : 3000, random, result });
    });
    return result;
  },
};

async function oneStuck(program, port, { how, victim, result }) {
  const ms = 1000;
  const lag = measureLag();
  // An endless loop takes a processor from all: the others are to be compared with one beside the cluster.
  const peace = () => rain(port, ms, { every: EVERY, patience: 5000 });
  const calm = how === 'looping' ? await besideALoop(peace) : await peace();

  const noted = program.log().length;
  const start = now();
  const blocks = program.all('blocked').length;
  if (how === 'stopped') {
    proc.stop(victim.pid);
  } else {
    victim.tell({ command: 'block', ms: ms + BOUND + 200 });
    await program.events('blocked', blocks + 1);
  }
  const falling = new Rain(port, { every: EVERY, patience: 5000 });
  await sleep(ms + BOUND);
  const attempts = falling.stop();
  const end = now();
  if (how === 'stopped') proc.signal(victim.pid, 'SIGCONT');
  else await program.events('unblocked', blocks + 1);
  const waited = lag();
  const bound = BOUND + waited;

  // It takes part again: someone is served by it.
  const back = await untilServedBy(port, victim.id);
  const stuckFor = await attempts;
  const answered = stuckFor.filter(({ outcome }) => outcome === 'served');
  const late = answered.filter(one => latency(one) > bound + 50);
  const began = Math.min(...stuckFor.map(({ start: first }) => first));
  const toVictim = program
    .log()
    .slice(noted)
    .map(line => line.split(' ').map(Number))
    .filter(([id]) => id === victim.id);
  // What it was given although it was stuck: connections that began later than the bound. One that began at the
  // very end may have been accepted when it was back: by so much the machine is late.
  const after = stuckFor.filter(
    one =>
      one.start > began + bound &&
      one.start + waited < end &&
      toVictim.some(
        ([, port, time]) => port === one.port && time / 1e6 >= one.start && time / 1e6 <= one.end,
      ),
  );
  const settled = answered.filter(one => one.start > began + bound).map(latency);
  const [before, during] = [quantile(calm.map(latency), 0.99), quantile(settled, 0.99)];

  result.tried += stuckFor.length;
  result.lost += stuckFor.length - answered.length + late.length + after.length;
  // A connection is late by the machine three times at most: as it is accepted, served and answered.
  if (during > Math.max(2 * before, before + 3 * waited)) {
    result.broken.push(`p99 ${round(during)} ms beside a worker that is ${how}, ${round(before)} ms without`);
  }
  if (back === undefined) result.broken.push(`worker ${victim.id} gets nothing after it was ${how}`);
  result.notes.push(
    `${how}: ${describe(stuckFor)}, slowest ${round(Math.max(...answered.map(latency)))} ms, ` +
      `${late.length} later than the bound, ${after.length} to the stuck worker after it; p99 ${round(before)} → ` +
      `${round(during)} ms; back after ${back === undefined ? 'never' : `${round(back)} ms`}; ` +
      `stuck for ${round(end - start)} ms, lag ${round(waited)} ms`,
  );
}

/** Does something while a process that is no worker is in an endless loop. */
async function besideALoop(body) {
  const child = spawn(process.execPath, ['-e', "process.stdout.write('x', () => { for (;;); })"]);
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  try {
    await once(child.stdout, 'data');
    return await body();
  } finally {
    kill();
    process.off('exit', kill);
  }
}

async function untilServedBy(port, id) {
  const start = now();
  while (now() - start < 5000) {
    const { worker } = await attempt(port, 5000);
    if (worker === id) return now() - start;
  }
  return undefined;
}

async function allStuck(program, port, { count, random, result }) {
  const workers = program.serving;
  const memory = proc.memory(program.pid).rss;
  for (const { pid } of workers) proc.stop(pid);
  const attempts = [];
  for (let i = 0; i < count; i++) {
    attempts.push(attempt(port, 10_000));
    if (i % 50 === 49) await sleep(10);
  }
  await sleep(300);
  const grown = proc.memory(program.pid).rss - memory;
  // One of them never comes back: what waits in its queue is for the others.
  const [dead, ...others] = random.shuffle(workers);
  const held = proc.connectionsHeld(dead.pid, port).size;
  proc.signal(dead.pid, 'SIGKILL');
  await dead.gone;
  const continued = now();
  for (const { pid } of others) proc.signal(pid, 'SIGCONT');
  const all = await Promise.all(attempts);
  const lost = all.filter(({ outcome }) => outcome !== 'served').length;
  result.tried += count;
  result.lost += Math.max(0, lost - held);
  if (grown > 16 * 2 ** 20) result.broken.push(`the primary grew by ${grown >> 20} MiB while all were stuck`);
  result.notes.push(
    `all stopped, one killed: ${describe(all)}, served ${round(Math.max(...all.map(({ end }) => end)) - continued)} ms ` +
      `after the others came back; the primary grew by ${grown >> 10} KiB`,
  );
}

function describe(attempts) {
  const { served, refused, reset, hung } = outcomes(attempts);
  return `${served} of ${attempts.length} served, ${refused} refused, ${reset} reset, ${hung} left hanging`;
}
