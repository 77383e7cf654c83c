'use strict';

// No descriptors left: no crash, no spin, one warning an episode, service again within 200 ms of the first
// descriptor freed, and no connection lost that was made meanwhile.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { attempt, outcomes } = require('../load');
const { measureLag, now, round, sleep } = require('../time');

/** Until service goes on after the first descriptor was freed, in milliseconds: the guarantee. */
const BOUND = 200;

/** How much of a processor a starved process may use: the guarantee. */
const MOST_CPU = 0.05;

const DESCRIPTORS = 80;

module.exports = {
  title: 'No descriptors left (ulimit -n)',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections', notes: [], broken: [] };
    const options = { way, limits: { descriptors: DESCRIPTORS } };
    const ms = short ? 1000 : 5000;
    await withProgram('server.js', { ...options, env: { WORKERS: 2 } }, async program => {
      await program.listening(2);
      for (let episode = 1; episode <= (short ? 2 : 5); episode++) {
        progress(`primary, episode ${episode}`);
        await starve(program, program.primary, { ms, result, what: 'primary' });
        const warnings = program.all('warning').length;
        if (way === 'rust' && warnings !== episode) {
          result.broken.push(`${warnings} warnings in ${episode} episodes`);
        }
      }
    });
    await withProgram('server.js', { ...options, env: { WORKERS: 1 } }, async program => {
      await program.listening(1);
      progress('the only worker');
      await starve(program, program.serving[0], { ms, result, what: 'only worker' });
    });
    await withProgram('server.js', { ...options, env: { WORKERS: 2 } }, async program => {
      await program.listening(2);
      progress('one of two workers');
      await starve(program, program.serving[0], { ms, result, what: 'one of two workers', served: true });
    });
    return result;
  },
};

async function starve(program, peer, { ms, result, what, served = false }) {
  const [{ port }] = program.all('listening');
  const before = program.all('starved').length;
  peer.tell({ command: 'starve' });
  await program.events('starved', before + 1);

  const lag = measureLag();
  const attempts = Array.from({ length: 20 }, () => attempt(port, ms + 5000));
  await sleep(100);
  const [start, used] = [now(), proc.cpu(peer.pid)];
  await sleep(ms);
  const share = (proc.cpu(peer.pid) - used) / 1000 / (now() - start);

  const freed = now();
  // All but a few stay: the first one freed counts.
  peer.tell({ command: 'feed', count: 4 });
  const all = await Promise.all(attempts);
  peer.tell({ command: 'feed' });
  const waited = lag();
  const { served: count, refused, reset, hung } = outcomes(all);
  // Beside one that has descriptors nobody waits; else service goes on with the first that is served.
  const ends = all.filter(({ outcome }) => outcome === 'served').map(({ end }) => end);
  const again = served ? Math.max(...ends) - start : Math.min(...ends) - freed;

  result.tried += all.length;
  result.lost += all.length - count;
  if (!(again <= BOUND + waited)) result.broken.push(`the ${what} serves again after ${round(again)} ms`);
  if (share > MOST_CPU)
    result.broken.push(`the ${what} uses ${round(share * 100)} % of a processor while starved`);
  if (!proc.lives(peer.pid)) result.broken.push(`the ${what} has died`);
  result.notes.push(
    `${what}: ${count} of ${all.length} served, ${refused} refused, ${reset} reset, ${hung} left hanging, ` +
      `${served ? 'all' : 'again'} after ${round(again)} ms (lag ${round(waited)} ms), ` +
      `${round(share * 100)} % of a processor while starved`,
  );
}
