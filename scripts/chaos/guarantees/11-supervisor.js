'use strict';

// The supervisor: a reload and recycling lose no request, on fresh connections and on kept ones; a broken release leaves
// the old workers as they are; workers that are killed in the middle of a reload refuse nobody; of a supervisor that is
// killed in the middle of one nothing is left, and the next one finds nothing in its way; a stuck worker is replaced.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { freePort } = require('../../../__test__/support/free-port');
const { get } = require('../../../__test__/support/http');
const proc = require('../../../__test__/support/proc');
const user = require('../../../__test__/support/user');
const { withProgram } = require('../program');
const { Crowd, outcomes } = require('../load');
const { measureLag, now, round, sleep } = require('../time');
const web = require('../web');

const WORKERS = 2;
/** How many there are where some are killed. */
const MANY = 4;
/** How many clients there are of each kind. */
const CLIENTS = 6;
/** How long a worker may live on without its supervisor, in milliseconds, beside the delay of the machine. */
const BOUND = 1000;

/** What a reload reports, one after the other: at each of them the supervisor is killed. */
const STEPS = [
  'reload-started',
  'replacing',
  'forked',
  'online',
  'listening',
  'ready',
  'draining',
  'disconnected',
  'exited',
  'reload-done',
];

module.exports = {
  title: 'The supervisor (reload, recycling, a broken release, kills)',
  limit: { short: 120_000, long: 900_000 },
  control: false,

  async run({ random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'requests', notes: [], broken: [] };
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-chaos-'));
    const release = path.join(folder, 'release');
    fs.writeFileSync(release, 'good');
    for (const file of [folder, release]) user.give(file);
    const port = await freePort();
    const run = (options, body) => supervised({ port, release, options }, body);
    try {
      progress('reloads');
      await run({}, program => reloads(program, port, short ? 2 : 20, result));
      progress('a broken release');
      await run({}, program => brokenRelease(program, port, release, result));
      progress('recycling');
      await run({ maxConnections: short ? 60 : 300 }, program =>
        recycling(program, port, short ? 3 : 20, result),
      );
      progress('workers are killed');
      for (let round = 0; round < (short ? 1 : 10); round++)
        await run({ workers: MANY }, program => killedWorkers(program, port, random, result));
      const steps = short ? [random.pick(STEPS)] : STEPS;
      for (const step of steps) {
        progress(`the supervisor is killed at ${step}`);
        await run({}, program => killedAt(program, step, result));
      }
      progress('a worker is stuck');
      await run({ stuck: '1s', stuckReport: '500ms' }, program => stuck(program, port, result));
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
    return result;
  },
};

/** A supervisor with a good release, all of whose workers serve. */
async function supervised({ port, release, options }, body) {
  fs.writeFileSync(release, 'good');
  const env = {
    PORT: port,
    RELEASE: release,
    OPTIONS: JSON.stringify({ workers: WORKERS, drain: '10s', ...options }),
  };
  await withProgram('supervisor.js', { way: 'rust', env }, async program => {
    await program.events('all-ready');
    await body(program);
  });
}

/** Clients on connections of their own, and others on kept ones. */
function crowds(port) {
  const visitor = kept => () => web.visitor('http', kept);
  const all = [false, true].map(kept => new Crowd(port, { clients: CLIENTS, visitor: visitor(kept) }));
  return { stop: async () => (await Promise.all(all.map(crowd => crowd.stop()))).flat() };
}

function count(result, what, attempts, isLost = ({ outcome }) => outcome !== 'served') {
  const { served, refused, reset, hung } = outcomes(attempts);
  result.tried += attempts.length;
  result.lost += attempts.filter(isLost).length;
  result.notes.push(`${what}: ${served} served, ${refused} refused, ${reset} reset, ${hung} left hanging`);
}

/** Reloads, and waits for what comes of it. */
async function reload(program) {
  const before = ends(program).length;
  program.primary.tell({ command: 'reload' });
  return program.until('the end of the reload', () => ends(program)[before], 60_000);
}

const ends = program =>
  [...program.all('reloaded'), ...program.all('reload rejected')].sort((a, b) => a.time - b.time);

async function reloads(program, port, rounds, result) {
  const crowd = crowds(port);
  for (let round = 0; round < rounds; round++) {
    const { event, replaced } = await reload(program);
    if (event !== 'reloaded' || replaced !== WORKERS)
      result.broken.push(`a reload replaced ${replaced} (${event})`);
  }
  count(result, `${rounds} reloads`, await crowd.stop());
}

async function brokenRelease(program, port, release, result) {
  const before = await whoServes(port);
  const crowd = crowds(port);
  fs.writeFileSync(release, 'broken');
  const { event, lines = [] } = await reload(program);
  if (event !== 'reload rejected') result.broken.push('the reload of a broken release went well');
  if (!lines.some(line => line.includes('a broken release')))
    result.broken.push(`it says: ${lines.join(' | ')}`);
  count(result, 'a broken release', await crowd.stop());
  const after = await whoServes(port);
  if ([...after].some(pid => !before.has(pid))) result.broken.push('old workers did not stay');
}

/** The pids of those who answer, once all do. */
async function whoServes(port) {
  const pids = new Set();
  while (pids.size < WORKERS) pids.add((await get(port)).body);
  return pids;
}

async function recycling(program, port, rounds, result) {
  const crowd = crowds(port);
  await program.events('replaced', rounds, undefined, 120_000);
  count(result, `${rounds} workers recycled`, await crowd.stop());
}

/** Two of four, the old ones or the new ones: others are left. A request that a worker has begun dies with it. */
async function killedWorkers(program, port, random, result) {
  const crowd = crowds(port);
  const done = reload(program);
  const pids = () => program.all('forked').map(({ pid }) => pid);
  const doomed = random.shuffle(pids()).slice(0, 1);
  await sleep(random.below(300));
  proc.signal(doomed[0], 'SIGKILL');
  await sleep(random.below(300));
  doomed.push(random.pick(pids().filter(pid => !doomed.includes(pid) && proc.lives(pid))));
  proc.signal(doomed[1], 'SIGKILL');
  await done;
  const ready = () =>
    program
      .all('status')
      .at(-1)
      ?.workers.filter(({ state }) => state === 'ready').length === MANY;
  for (const limit = now() + 60_000; !ready() && now() < limit; await sleep(50))
    program.primary.tell({ command: 'status' });
  if (!ready()) result.broken.push('not all slots are filled again');
  const attempts = await crowd.stop();
  const isLost = ({ outcome }) => outcome === 'refused' || outcome === 'hung';
  count(result, 'two workers of four are killed in a reload', attempts, isLost);
}

async function killedAt(program, step, result) {
  const before = program.all(step).length;
  program.primary.tell({ command: 'reload' });
  await program.events(step, before + 1, undefined, 60_000);
  const lag = measureLag();
  const death = now();
  proc.signal(program.pid, 'SIGKILL');
  await program.exit;
  const pids = program.all('forked').map(({ pid }) => pid);
  const living = () => pids.filter(pid => proc.lives(pid)).length;
  while (living() > 0 && now() - death < 10_000) await sleep(10);
  const took = now() - death;
  result.tried += pids.length;
  result.lost += took > BOUND + lag() ? Math.max(living(), 1) : 0;
  result.notes.push(
    `the supervisor is killed at ${step}: ${pids.length} workers are gone after ${round(took)} ms`,
  );
}

async function stuck(program, port, result) {
  const answer = get(port, '/stuck').catch(() => {});
  const [{ worker }] = await program.events('stuck', 1, undefined, 30_000);
  const crowd = crowds(port);
  await program.events('exited', 1, entry => entry.worker === worker, 60_000);
  await answer;
  count(result, 'a stuck worker is replaced', await crowd.stop());
}
