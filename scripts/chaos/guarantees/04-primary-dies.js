'use strict';

// The primary is killed: every worker that runs its loop exits within a second, one that is stuck as soon as
// its process can, whatever it was about to do: to start, to send, to give connections back. None of them says that
// anything is wrong. A Unix path that it listened on can be bound again.

const { withProgram } = require('../program');
const { attempt } = require('../load');
const proc = require('../../../__test__/support/proc');
const { measureLag, now, round, sleep } = require('../time');

/** How long after the primary a worker may live, in milliseconds: the guarantee. */
const BOUND = 1000;

/** How many clients wait that no worker takes. */
const SURPLUS = 800;

module.exports = {
  title: 'The primary dies (SIGKILL)',
  limit: { short: 60_000, long: 600_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'workers', notes: [], broken: [] };
    for (let round = 0; round < (short ? 1 : 20); round++) {
      progress(`round ${round + 1}`);
      await withProgram('server.js', { way, env: { WORKERS: 6, BUSY: 1 } }, program =>
        orphans(program, result),
      );
      const env = { WORKERS: 4, BUSY: 1, MOST: 1 };
      await withProgram('server.js', { way, env }, program => givingBack(program, result));
      for (let i = 0; i < 3; i++) {
        await withProgram('server.js', { way, env: { BUSY: 1 } }, program =>
          starting(program, random.below(200), result),
        );
      }
    }
    const code = await samePath(way);
    if (code) result.broken.push(`the Unix path of a dead primary cannot be bound again: ${code}`);
    return result;
  },
};

/** Two of a kind: in a loop, and stopped. */
async function orphans(program, result) {
  await program.listening(6);
  const [idle, busy, ...stuck] = program.serving;
  const [looping, stopped] = [stuck.slice(0, 2), stuck.slice(2)];
  const loop = 700;
  const lag = measureLag();
  for (const one of looping) one.tell({ command: 'block', ms: loop });
  await program.events('blocked', 2);
  const began = now();
  busy.tell({ command: 'chat', count: 1000 });
  for (const { pid } of stopped) proc.stop(pid);

  const death = now();
  proc.signal(program.pid, 'SIGKILL');
  await Promise.all(looping.map(one => gone(one, loop + 5000)));
  for (const { pid } of stopped) proc.signal(pid, 'SIGCONT');
  const continued = now();
  await Promise.all([idle, busy, ...stuck].map(one => gone(one, 5000)));
  const since = [death, death, began + loop, began + loop, continued, continued];
  const names = ['idle', 'busy', 'looping', 'looping', 'stopped', 'stopped'];
  const bound = BOUND + lag();
  const took = [idle, busy, ...stuck].map(({ ended }, index) => ended - Math.max(death, since[index]));
  result.tried += took.length;
  result.lost += took.filter(ms => !(ms <= bound)).length;
  result.notes.push(`gone after: ${took.map((ms, index) => `${names[index]} ${describe(ms)}`).join(', ')}`);
  said(program, result);
}

const describe = ms => (Number.isNaN(ms) ? 'never' : `${round(ms)} ms`);

/**
 * Full workers give back what they cannot take, to a primary that is stopped first, and then dies as it is, as one of
 * them dies, and another is stopped.
 */
async function givingBack(program, result) {
  const port = await program.listening(4);
  const [dying, stopped, ...others] = program.serving;
  const surplus = Array.from({ length: SURPLUS }, () => attempt(port, 20_000));
  await sleep(100);
  proc.stop(program.pid);
  await sleep(100);
  proc.stop(stopped.pid);
  const lag = measureLag();
  const death = now();
  for (const pid of [dying.pid, program.pid]) proc.signal(pid, 'SIGKILL');
  await Promise.all([dying, ...others].map(one => gone(one, 5000)));
  proc.signal(stopped.pid, 'SIGCONT');
  const continued = now();
  await gone(stopped, 5000);
  await Promise.all(surplus);
  const bound = BOUND + lag();
  const took = [...others.map(({ ended }) => ended - death), stopped.ended - continued];
  result.tried += took.length;
  result.lost += took.filter(ms => !(ms <= bound)).length;
  result.notes.push(`gone after, while they gave connections back: ${took.map(describe).join(', ')}`);
  said(program, result);
}

/** Workers are just starting: they run their loops soon, but how soon is the machine's affair. */
async function starting(program, ms, result) {
  await program.events('hello', 1, ({ id }) => id === 0);
  await sleep(ms);
  const started = family(program);
  proc.signal(program.pid, 'SIGKILL');
  const death = now();
  while (family(program).length > 0 && now() - death < 10_000) await sleep(50);
  const left = family(program);
  result.tried += started.length;
  result.lost += left.length;
  result.notes.push(`${started.length - 1} workers that start, after ${ms} ms: ${left.length} live on`);
  said(program, result);
}

/** The processes of a program: a session. */
const family = ({ pid }) => proc.all().filter(one => proc.session(one) === pid && proc.lives(one));

/** Nobody is to say that anything is wrong. */
function said({ stderr }, result) {
  if (stderr.trim()) result.broken.push(`a worker says: ${stderr.trim().slice(0, 300)}`);
}

/** Waits for the end of a process, but not for ever. */
function gone(peer, ms) {
  let timer;
  const tooLong = new Promise(resolve => {
    timer = setTimeout(resolve, ms);
  });
  return Promise.race([peer.gone, tooLong]).finally(() => clearTimeout(timer));
}

/** The error of binding the path of a Unix socket again after its primary was killed; undefined: none. */
async function samePath(way) {
  return withProgram('server.js', { way, env: { WORKERS: 1 } }, async keeper => {
    // The folder of this one outlives those that listen in it.
    const env = { WORKERS: 1, LISTEN: { path: keeper.file('socket') } };
    await withProgram('server.js', { way, env }, async program => {
      await program.events('listening');
      proc.signal(program.pid, 'SIGKILL');
      await program.exit;
    });
    return withProgram('server.js', { way, env }, async program => {
      const answer = await program.until(
        'answer',
        () => program.all('refused')[0] ?? program.all('listening')[0],
      );
      return answer.code;
    });
  });
}
