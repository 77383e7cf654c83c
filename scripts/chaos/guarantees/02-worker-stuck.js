'use strict';

// Workers are stuck: after at most 100 ms they get no new connection, those in their queues are served by others,
// and they take part again when they come back. That holds beside a second one that is stuck, one that dies, and
// workers that refuse what is more than their maxConnections, on a port and on a Unix path. All stuck: connections
// wait, none is refused, none lost.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { withProgram } = require('../program');
const leftovers = require('../../../__test__/support/leftovers');
const proc = require('../../../__test__/support/proc');
const { Rain, attempt, latency, outcomes } = require('../load');
const { measureLag, now, quantile, round, sleep } = require('../time');

/** How long until a stuck worker gets nothing more, in milliseconds: the guarantee. */
const BOUND = 100;

/** Between two connections to an address, in milliseconds. */
const EVERY = 8;

/** How long workers are stuck, and when there is more to come. */
const STUCK = 1000;
const LATER = 400;

/**
 * What becomes of the first workers of four: 'stopped' and 'looping' come back at the end, 'dying' is stopped, and dies
 * later, as 'next' is stopped.
 */
const SCENES = [['stopped'], ['looping'], ['stopped', 'looping', 'dying'], ['dying', 'next']];

module.exports = {
  title: 'Workers are stuck (endless loop, SIGSTOP)',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections', notes: [], broken: [] };
    const env = { WORKERS: 4, LISTEN: [{ port: 0, host: '127.0.0.1' }, { path: 'socket' }], MOST: [0, 2] };
    for (let round = 0; round < (short ? 1 : 10); round++) {
      await withProgram('server.js', { way, env }, async program => {
        await program.listening(4);
        for (const scene of SCENES) {
          progress(`${scene}, round ${round + 1}`);
          await play(program, { scene, random, result });
          if (scene.includes('dying')) await refill(program);
        }
        progress('all stopped');
        await allStuck(program, { count: short ? 300 : 3000, random, result });
      });
    }
    return result;
  },
};

async function refill(program) {
  program.primary.tell({ command: 'fork' });
  await program.listening(4);
}

/** A connection every few milliseconds to each address. */
class Rains {
  #rains;

  constructor(targets) {
    this.#rains = targets.map(target => new Rain(target, { every: EVERY, patience: 5000 }));
  }

  async stop() {
    return (await Promise.all(this.#rains.map(rain => rain.stop()))).flat();
  }
}

async function play(program, { scene, random, result }) {
  const lag = measureLag();
  const calm = await inPeace(program, scene);
  const workers = random.shuffle(program.serving);
  const victims = scene.map((how, index) => ({ how, ...pick(workers[index]) }));

  const rain = new Rains(program.targets);
  const began = now();
  for (const victim of victims) if (victim.how !== 'next') await getStuck(program, victim);
  await sleep(LATER);
  const held = await later(program, victims);
  await sleep(STUCK + BOUND - LATER);
  const stopping = rain.stop();
  const end = now();
  await comeBack(program, victims);
  const attempts = await stopping;
  const waited = lag();

  // As one gets stuck that has been handed what waited for another, that waits twice.
  const bound = BOUND * (scene.includes('next') ? 2 : 1) + waited;
  const served = attempts.filter(({ outcome }) => outcome === 'served');
  const late = served.filter(one => latency(one) > bound + 50);
  // What a worker was given although it was stuck: connections that began later than the bound. One that began at
  // the very end may have been accepted when it was back: by so much the machine is late.
  const given = served.filter(one =>
    victims.some(({ id, from }) => one.worker === id && one.start > from + bound && one.start + waited < end),
  );
  const lost = Math.max(0, attempts.length - served.length - held);
  result.tried += attempts.length;
  result.lost += lost + late.length + given.length;
  const name = scene.join(', ');
  const ninetyNine = compare(calm, served, { began, bound, waited, name, result });
  const back = await allBack(program, victims, { name, result });
  result.notes.push(
    `${name}: ${describe(attempts)} (${held} held by a process that was killed), slowest ` +
      `${round(Math.max(...served.map(latency)))} ms, ${late.length} later than the bound, ${given.length} to a stuck ` +
      `worker after it; ${ninetyNine}back after ${back}; stuck for ${round(end - began)} ms, lag ${round(waited)} ms`,
  );
}

const pick = ({ id, pid }) => ({ id, pid });

/** The rain before: where one worker is stuck its 99th percentile is compared. */
async function inPeace(program, scene) {
  if (scene.length > 1) return undefined;
  const peace = async () => {
    const rain = new Rains(program.targets);
    await sleep(STUCK);
    return rain.stop();
  };
  // An endless loop takes a processor from all: the others are to be compared with one beside the cluster.
  return scene[0] === 'looping' ? besideALoop(peace) : peace();
}

/** Does something while a process that is no worker is in an endless loop. */
async function besideALoop(body) {
  const child = spawn(process.execPath, ['-e', "process.stdout.write('x', () => { for (;;); })"]);
  leftovers.track(child.pid);
  try {
    await once(child.stdout, 'data');
    return await body();
  } finally {
    child.kill('SIGKILL');
    leftovers.forget(child.pid);
  }
}

async function getStuck(program, victim) {
  victim.from = now();
  if (victim.how !== 'looping') {
    proc.stop(victim.pid);
    return;
  }
  const isIt = ({ pid }) => pid === victim.pid;
  victim.loops = program.all('unblocked', isIt).length;
  const blocks = program.all('blocked', isIt).length;
  program.workers.get(victim.id).tell({ command: 'block', ms: STUCK + BOUND + 200 });
  await program.events('blocked', blocks + 1, isIt);
}

/** @returns {Promise<number>} how many connections those held that have been killed */
async function later(program, victims) {
  const dying = victims.filter(({ how }) => how === 'dying');
  const next = victims.filter(({ how }) => how === 'next');
  const held = dying.reduce((sum, { pid }) => sum + connectionsHeld(program, pid), 0);
  for (const { pid } of dying) proc.signal(pid, 'SIGKILL');
  for (const victim of next) await getStuck(program, victim);
  await Promise.all(dying.map(({ id }) => program.workers.get(id).gone));
  for (const { id } of dying) program.history.push({ event: 'leaving', id });
  return held;
}

const connectionsHeld = (program, pid) =>
  program.targets.reduce(
    (sum, target) =>
      sum +
      (target.port ? proc.connectionsHeld(pid, target.port).size : proc.connectionsHeldOfPath(pid, target)),
    0,
  );

async function comeBack(program, victims) {
  for (const { how, pid, loops } of victims) {
    if (how === 'stopped' || how === 'next') proc.signal(pid, 'SIGCONT');
    if (how === 'looping') await program.events('unblocked', loops + 1, entry => entry.pid === pid);
  }
}

/** Whether the others answered as they do in peace; for the reader. */
function compare(calm, served, { began, bound, waited, name, result }) {
  if (!calm) return '';
  const settled = served.filter(one => one.start > began + bound).map(latency);
  const [before, during] = [quantile(calm.map(latency), 0.99), quantile(settled, 0.99)];
  // A connection is late by the machine three times at most: as it is accepted, served and answered.
  if (during > Math.max(2 * before, before + 3 * waited)) {
    result.broken.push(
      `p99 ${round(during)} ms beside a worker that is ${name}, ${round(before)} ms without`,
    );
  }
  return `p99 ${round(before)} → ${round(during)} ms; `;
}

/** They take part again: somebody is served by each. */
async function allBack(program, victims, { name, result }) {
  const times = [];
  for (const { how, id } of victims) {
    if (how === 'dying') continue;
    const ms = await untilServedBy(program.targets[0], id);
    if (ms === undefined) result.broken.push(`worker ${id} gets nothing after it was ${how} (${name})`);
    times.push(ms === undefined ? 'never' : `${round(ms)} ms`);
  }
  return times.join(', ');
}

async function untilServedBy(target, id) {
  const start = now();
  while (now() - start < 5000) {
    const { worker } = await attempt(target, 5000);
    if (worker === id) return now() - start;
  }
  return undefined;
}

async function allStuck(program, { count, random, result }) {
  const workers = program.serving;
  const memory = proc.memory(program.pid).rss;
  for (const { pid } of workers) proc.stop(pid);
  const attempts = [];
  for (let i = 0; i < count; i++) {
    attempts.push(attempt(program.targets[i % program.targets.length], 10_000));
    if (i % 50 === 49) await sleep(10);
  }
  await sleep(300);
  const grown = proc.memory(program.pid).rss - memory;
  // Two of them never come back: what waits in their queues is for the others.
  const shuffled = random.shuffle(workers);
  const [dead, others] = [shuffled.slice(0, 2), shuffled.slice(2)];
  const held = dead.reduce((sum, { pid }) => sum + connectionsHeld(program, pid), 0);
  for (const { pid } of dead) proc.signal(pid, 'SIGKILL');
  await Promise.all(dead.map(({ gone }) => gone));
  const continued = now();
  for (const { pid } of others) proc.signal(pid, 'SIGCONT');
  const all = await Promise.all(attempts);
  const lost = all.filter(({ outcome }) => outcome !== 'served').length;
  result.tried += count;
  result.lost += Math.max(0, lost - held);
  if (grown > 16 * 2 ** 20) result.broken.push(`the primary grew by ${grown >> 20} MiB while all were stuck`);
  result.notes.push(
    `all stopped, two killed: ${describe(all)} (${held} held by them), served ` +
      `${round(Math.max(...all.map(({ end }) => end)) - continued)} ms after the others came back; the primary grew by ` +
      `${grown >> 10} KiB`,
  );
}

function describe(attempts) {
  const { served, refused, reset, hung } = outcomes(attempts);
  return `${served} of ${attempts.length} served, ${refused} refused, ${reset} reset, ${hung} left hanging`;
}
