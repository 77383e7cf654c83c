'use strict';

// Workers die: every connection that their JavaScript had not yet been given is served by another worker.
//
// A storm of SIGKILLs under load, on two addresses: of one worker, or of two at once, sometimes while a third is
// stopped, sometimes while the primary's JavaScript is stuck; and half of the workers refuse what is more than their
// maxConnections. What a client saw reset must have been in the hands of the worker that died, and that is proven in
// one of two ways:
// - *inspected*: the worker is stopped, the kernel says which connections its process holds, then it is killed;
// - *plain*: the worker is killed at once. It has noted each connection before anything else it did with it,
//   so at most one, on its way from the kernel to that note, can be missing.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Crowd, outcomes } = require('../load');
const { now, sleep } = require('../time');

/** Two addresses, of which the workers learn the ports. */
const LISTEN = ['127.0.0.1', '127.0.0.2'].map(host => ({ host, port: 0 }));

module.exports = {
  title: 'Workers die (SIGKILL under load)',
  limit: { short: 60_000, long: 900_000 },

  async run({ way, random, short, progress }) {
    const env = { WORKERS: 5, REFORK: 1, WORK: 2, LISTEN, MOST: [0, 2] };
    return withProgram('server.js', { way, env }, async program => {
      await program.listening(5);
      const patience = short ? 3000 : 10_000;
      const crowds = program.targets.map(target => new Crowd(target, { clients: 12, patience }));
      const kills = await storm(program, { count: short ? 24 : 1000, random, progress });
      const attempts = (await Promise.all(crowds.map(crowd => crowd.stop()))).flat();
      return verdict(attempts, kills, given(program.log()));
    });
  },
};

async function storm(program, { count, random, progress }) {
  const ports = program.targets.map(({ port }) => port);
  const kills = [];
  while (kills.length < count) {
    // Two go on listening: without any, the port is closed, as it is with Node's own.
    const serving = await program.until(
      'four that serve',
      () => program.serving.length >= 4 && program.serving,
    );
    const [bystander, ...others] = random.shuffle(serving);
    const victims = others.slice(0, 1 + random.below(2));
    const stunned = random.below(4) === 0;
    if (random.below(4) === 0) program.primary.tell({ command: 'block', ms: 30 + random.below(150) });
    if (stunned) proc.stop(bystander.pid);
    kills.push(...(await killAtOnce(program, victims, ports, random)));
    progress(`${kills.length} of ${count} kills`);
    await sleep(random.below(60));
    if (stunned) proc.signal(bystander.pid, 'SIGCONT');
  }
  return kills;
}

async function killAtOnce(program, victims, ports, random) {
  const kills = victims.map(({ id, pid }) => {
    const inspected = random.below(2) === 1;
    const kill = { id, pid, inspected, atOnce: victims.length > 1, held: new Set(), unexplained: 0 };
    if (inspected && proc.stop(pid)) {
      kill.held = new Set(ports.flatMap(port => [...proc.connectionsHeld(pid, port)]));
    }
    return kill;
  });
  const from = now();
  for (const { pid } of kills) proc.signal(pid, 'SIGKILL');
  await Promise.all(victims.map(({ gone }) => gone));
  const to = now();
  for (const { id } of victims) program.history.push({ event: 'leaving', id });
  return kills.map(kill => ({ ...kill, from, to }));
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
      `${kills.length} kills (${kills.filter(({ inspected }) => inspected).length} inspected, ` +
        `${kills.filter(({ atOnce }) => atOnce).length} two at once), ` +
        `${served} served, ${refused} refused, ${hung} left hanging, ${reset} reset`,
      `of those reset: ${counts.given} given to the JavaScript of the dead worker, ${counts.held} held by its ` +
        `process, ${counts.inHand} on the way to its first note (one a kill at most), ` +
        `${lost - refused - hung} without an excuse`,
    ],
  };
}
