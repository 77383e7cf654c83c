'use strict';

// A worker dies: every connection that its JavaScript had not yet been given is served by another worker.
//
// A storm of SIGKILLs under load. What a client saw reset must have been in the hands of the worker that died,
// and that is proven in one of two ways:
// - *inspected*: the worker is stopped, the kernel says which connections its process holds, then it is killed;
// - *plain*: the worker is killed at once. It has noted each connection before anything else it did with it,
//   so at most one, on its way from the kernel to that note, can be missing.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Crowd, outcomes } = require('../load');
const { now, sleep } = require('../time');

module.exports = {
  title: 'A worker dies (SIGKILL under load)',
  limit: { short: 60_000, long: 900_000 },

  async run({ way, random, short, progress }) {
    const env = { WORKERS: 4, REFORK: 1, WORK: 2 };
    return withProgram('server.js', { way, env }, async program => {
      const port = await program.listening(4);
      const crowd = new Crowd(port, { clients: 24, patience: short ? 3000 : 10_000 });
      const kills = await storm(program, port, { count: short ? 24 : 1000, random, progress });
      const attempts = await crowd.stop();
      return verdict(attempts, kills, given(program.log()));
    });
  },
};

async function storm(program, port, { count, random, progress }) {
  const kills = [];
  while (kills.length < count) {
    // One goes on listening: without any, the port is closed, as it is with Node's own.
    const serving = await program.until(
      'two that serve',
      () => program.serving.length > 1 && program.serving,
    );
    const victim = random.pick(serving);
    const inspected = random.below(2) === 1;
    const kill = { id: victim.id, inspected, held: new Set(), unexplained: 0 };
    if (inspected && proc.stop(victim.pid)) kill.held = proc.connectionsHeld(victim.pid, port);
    kill.from = now();
    proc.signal(victim.pid, 'SIGKILL');
    await victim.gone;
    kill.to = now();
    program.history.push({ event: 'leaving', id: victim.id });
    kills.push(kill);
    progress(`${kills.length} of ${count} kills`);
    await sleep(random.below(60));
  }
  return kills;
}

/** The connections that JavaScript was given: for each client's port, to whom and when. */
function given(log) {
  const byPort = new Map();
  for (const [id, port, time] of log.map(line => line.split(' ').map(Number))) {
    if (!byPort.has(port)) byPort.set(port, []);
    byPort.get(port).push({ id, time: time / 1e6 });
  }
  return byPort;
}

function verdict(attempts, kills, notes) {
  const killed = new Map(kills.map(kill => [kill.id, kill]));
  const counts = { ...outcomes(attempts), given: 0, held: 0, inHand: 0, lost: 0 };
  for (const { start, end, port, outcome } of attempts) {
    if (outcome === 'served') continue;
    if (outcome === 'reset') {
      const noted = notes.get(port)?.find(({ time }) => time >= start && time <= end);
      if (noted && killed.has(noted.id)) {
        counts.given++;
        continue;
      }
      const during = kills.filter(({ from }) => from >= start && from <= end);
      if (during.some(({ held }) => held.has(port))) {
        counts.held++;
        continue;
      }
      const plain = during.find(({ inspected, unexplained }) => !inspected && unexplained === 0);
      if (plain) {
        plain.unexplained++;
        counts.inHand++;
        continue;
      }
    }
    counts.lost++;
  }
  const { served, refused, reset, hung, lost } = counts;
  return {
    tried: attempts.length,
    lost,
    unit: 'connections',
    notes: [
      `${kills.length} kills (${kills.filter(({ inspected }) => inspected).length} inspected), ` +
        `${served} served, ${refused} refused, ${hung} left hanging, ${reset} reset`,
      `of those reset: ${counts.given} given to the JavaScript of the dead worker, ${counts.held} held by its ` +
        `process, ${counts.inHand} on the way to its first note (one a kill at most), ` +
        `${lost - refused - hung} without an excuse`,
    ],
  };
}
