'use strict';

// The primary is stuck: new connections go on being served at the full rate, on a port and on a Unix path, also while
// workers die. And the primary is stopped, all its threads: no connection that a worker has waits for it, whatever
// the worker wants to give back.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Crowd, Guest, Rain, attempt, latency, outcomes } = require('../load');
const { measureLag, now, quantile, round, sleep } = require('../time');

/** Until a connection is served, in milliseconds, and until one is that waited for a worker that has died. */
const BOUND = 100;
const AFTER_DEATH = 250;

/** How many more clients come than the workers take, how often the primary is stopped beside them, and their patience. */
const SURPLUS = 600;
const STOPS = 6;
const PATIENCE = 20_000;

/** Who is not answered for so long is not answered while the primary is stopped. */
const UNHEARD = 500;

const LISTEN = [{ port: 0, host: '127.0.0.1' }, { path: 'socket' }];

module.exports = {
  title: 'The primary is stuck (its event loop blocked, SIGSTOP)',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections', notes: [], broken: [] };
    const ms = short ? 1200 : 10_000;
    await withProgram('server.js', { way, env: { WORKERS: 4, LISTEN } }, async program => {
      await program.listening(4);
      progress('endless loop');
      await loop(program, { ms, result });
      progress('the rate');
      await sameRate(program, result);
      progress('endless loop, and workers die');
      await loop(program, { ms, result, victims: random.shuffle(program.serving).slice(0, 2) });
    });
    for (const workers of short ? [2, 4] : [1, 2, 3, 4, 8]) {
      progress(`stopped, ${workers} full workers`);
      const env = { WORKERS: workers, MOST: 1 };
      await withProgram('server.js', { way, env }, program => stopped(program, { workers, result }));
    }
    return result;
  },
};

async function loop(program, { ms, result, victims = [] }) {
  const lag = measureLag();
  const blocked = program.all('blocked').length;
  program.primary.tell({ command: 'block', ms });
  await program.events('blocked', blocked + 1);
  const start = now();
  const rains = program.targets.map(target => new Rain(target, { every: 10, patience: ms + 5000 }));
  await sleep(ms / 3);
  const { killed, held } = await killAtOnce(program, victims);
  await sleep(start + ms - 200 - now());
  const attempts = (await Promise.all(rains.map(rain => rain.stop()))).flat();
  await program.events('unblocked', blocked + 1);
  const waited = lag();
  // A connection is late by the machine three times at most: as it is accepted, served and answered.
  const bound = one => (one.start < killed && one.end > killed - BOUND ? AFTER_DEATH : BOUND) + 3 * waited;
  const late = attempts.filter(one => one.outcome === 'served' && latency(one) > bound(one));
  const { served, refused, reset, hung } = outcomes(attempts);
  result.tried += attempts.length;
  result.lost += late.length + Math.max(0, refused + reset + hung - held);
  result.notes.push(
    `${ms} ms in a loop${victims.length ? `, ${victims.length} workers killed` : ''}: ${served} served, ${late.length} ` +
      `too late (${round(waited)} ms of it the machine's own), ${refused} refused, ${reset} reset (${held} held by who ` +
      `was killed), ${hung} left hanging, p99 ${round(quantile(attempts.map(latency), 0.99))} ms`,
  );
}

/** Kills workers, and says when, and how many connections they held: those go with them. */
async function killAtOnce(program, victims) {
  let held = 0;
  for (const { pid } of victims) {
    proc.stop(pid);
    for (const target of program.targets) {
      held += target.port
        ? proc.connectionsHeld(pid, target.port).size
        : proc.connectionsHeldOfPath(pid, target);
    }
  }
  for (const { pid } of victims) proc.signal(pid, 'SIGKILL');
  const killed = victims.length > 0 ? now() : Number.POSITIVE_INFINITY;
  await Promise.all(victims.map(({ gone }) => gone));
  return { killed, held };
}

/** The full rate: the primary waits without using the processor, so that both have the same of it. */
async function sameRate(program, result) {
  const [target] = program.targets;
  const before = await rate(target);
  const blocked = program.all('blocked').length;
  program.primary.tell({ command: 'block', ms: 1600, idle: true });
  await program.events('blocked', blocked + 1);
  const during = await rate(target);
  await program.events('unblocked', blocked + 1);
  if (during < before / 2) result.broken.push(`${during} connections/s while it is stuck, ${before} before`);
  result.notes.push(`${before} connections/s before, ${during} while it is stuck`);
}

async function rate(target) {
  const crowd = new Crowd(target, { clients: 8, patience: 5000 });
  await sleep(1000);
  const served = crowd.attempts.filter(({ outcome }) => outcome === 'served').length;
  await crowd.stop();
  return served;
}

/**
 * All workers are full, and a client comes whom nobody can take: the primary is not to be busy with him. Then hundreds
 * come, and it is stopped, several times: whether a worker is held up depends on what is under way. Whom the workers
 * have, they serve; whom they refused they cannot give back, and keep until it is back.
 */
async function stopped(program, { workers, result }) {
  await program.listening(workers);
  const [target] = program.targets;
  const guests = await Promise.all(Array.from({ length: workers }, () => Guest.come(target)));
  const surplus = [attempt(target, PATIENCE)];
  await sleep(100);
  const used = proc.cpu(program.pid);
  await sleep(500);
  const share = (proc.cpu(program.pid) - used) / 1000 / 500;

  surplus.push(...Array.from({ length: SURPLUS }, () => attempt(target, PATIENCE)));
  await sleep(200);
  let starved = 0;
  for (let i = 0; i < STOPS; i++) {
    proc.stop(program.pid);
    await sleep(100);
    const answered = await Promise.all(guests.map(guest => guest.ask(UNHEARD)));
    starved += answered.filter(one => !one).length;
    proc.signal(program.pid, 'SIGCONT');
    await sleep(50);
  }
  for (const guest of guests) guest.leave();
  const all = await Promise.all(surplus);

  const { served, refused, reset, hung } = outcomes(all);
  result.tried += STOPS * guests.length + all.length;
  result.lost += starved + all.length - served;
  if (share > 0.05)
    result.broken.push(`${Math.round(share * 100)} % of a processor beside ${workers} full workers`);
  result.notes.push(
    `${workers} full workers: ${Math.round(share * 100)} % of a processor in the primary for one surplus connection; it ` +
      `is stopped ${STOPS} times: ${starved} of ${STOPS * guests.length} questions unanswered; then ${served} of ` +
      `${all.length} of the surplus served, ${refused} refused, ${reset} reset, ${hung} left hanging`,
  );
}
