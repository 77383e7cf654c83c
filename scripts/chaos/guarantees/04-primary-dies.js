'use strict';

// The primary is killed: every worker that runs its loop exits within a second, one that is stuck as soon as
// its process can. A Unix path that it listened on can be bound again.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { measureLag, now, round } = require('../time');

/** How long after the primary a worker may live, in milliseconds: the guarantee. */
const BOUND = 1000;

module.exports = {
  title: 'The primary dies (SIGKILL)',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'workers', notes: [], broken: [] };
    for (let round = 0; round < (short ? 1 : 20); round++) {
      progress(`round ${round + 1}`);
      await withProgram('server.js', { way, env: { BUSY: 1 } }, program => orphans(program, result));
    }
    const code = await samePath(way);
    if (code) result.broken.push(`the Unix path of a dead primary cannot be bound again: ${code}`);
    return result;
  },
};

async function orphans(program, result) {
  await program.listening(4);
  const [idle, busy, looping, stopped] = program.serving;
  const loop = 700;
  const lag = measureLag();
  looping.tell({ command: 'block', ms: loop });
  await program.events('blocked');
  const began = now();
  busy.tell({ command: 'chat', count: 1000 });
  proc.stop(stopped.pid);

  const death = now();
  proc.signal(program.pid, 'SIGKILL');
  await gone(looping, loop + 5000);
  proc.signal(stopped.pid, 'SIGCONT');
  const continued = now();
  const all = [idle, busy, looping, stopped];
  await Promise.all(all.map(peer => gone(peer, 5000)));
  const bound = BOUND + lag();
  const took = {
    idle: idle.ended - death,
    busy: busy.ended - death,
    looping: looping.ended - Math.max(death, began + loop),
    stopped: stopped.ended - continued,
  };
  for (const [kind, ms] of Object.entries(took)) {
    result.tried++;
    if (!(ms <= bound)) result.lost++;
    result.notes.push(`${kind}: ${Number.isNaN(ms) ? 'lives on' : `gone after ${round(ms)} ms`}`);
  }
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
