'use strict';

// Several clusters on the same addresses, a port of TCP, one of UDP, and a Unix path: those that come second get
// EADDRINUSE, in their workers' 'error' events, and the first goes on. Of two that listen at once on a path that a dead
// program left one gets it, whole.

const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { withProgram } = require('../program');
const { attempt, rain, outcomes } = require('../load');
const user = require('../../../__test__/support/user');

const HOST = '127.0.0.1';

module.exports = {
  title: 'Several clusters on one address',
  limit: { short: 60_000, long: 300_000 },

  async run({ way, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'listening workers', notes: [], broken: [] };
    for (const policy of ['rr', 'none']) {
      progress(policy);
      await behindTheFirst(way, { policy, workers: short ? 2 : 8, result });
    }
    progress('at once');
    await atOnce(way, { races: short ? 60 : 1000, result });
    return result;
  },
};

/** Two clusters more, at once. */
async function behindTheFirst(way, { policy, workers, result }) {
  const env = { NODE_CLUSTER_SCHED_POLICY: policy };
  const udp = { udp: true, port: 0, address: HOST };
  const first = { ...env, WORKERS: 2, LISTEN: [{ port: 0, host: HOST }, { path: 'socket' }, udp] };
  await withProgram('server.js', { way, env: first }, async program => {
    await program.listening(2);
    const { port } = program.targets.find(target => target.port);
    const path = program.targets.find(target => !target.port);
    const [{ port: udpPort }] = program.all('listening', ({ addressType }) => addressType === 'udp4');
    const taken = [{ port, host: HOST }, { path }, { ...udp, port: udpPort }];
    const more = { ...env, WORKERS: workers, LISTEN: taken };
    const second = () =>
      withProgram('server.js', { way, env: more }, one => one.events('refused', workers * taken.length));
    const told = (await Promise.all([second(), second()])).flat();
    const wrong = told.filter(({ code }) => code !== 'EADDRINUSE');
    result.tried += told.length;
    result.lost += wrong.length;
    for (const target of [port, path]) {
      const attempts = await rain(target, 200, { every: 10, patience: 3000 });
      const { served } = outcomes(attempts);
      if (served < attempts.length) {
        result.broken.push(`${policy}: on ${target} the first served ${served} of ${attempts.length}`);
      }
    }
    if (!(await answers(udpPort))) result.broken.push(`${policy}: the first no longer answers on UDP`);
    result.notes.push(
      `${policy}: two clusters of ${workers} workers on three addresses: ${told.length - wrong.length} times EADDRINUSE, ` +
        `${wrong.length} times something else ${wrong[0]?.code ?? ''}`,
    );
  });
}

/** Whether a datagram is answered. */
async function answers(port) {
  const socket = dgram.createSocket('udp4');
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(3000) });
  socket.send('x', port, HOST);
  return answer
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.close());
}

/** The workers of two clusters listen at once on a path that nobody listens on any more. */
async function atOnce(way, { races, result }) {
  const env = { WORKERS: 2 };
  const counts = { one: 0, none: 0, both: 0 };
  await withProgram('server.js', { way, env }, one =>
    withProgram('server.js', { way, env }, async other => {
      const clusters = [one, other];
      await Promise.all(clusters.map(program => program.listening(2)));
      for (let race = 0; race < races; race++) {
        const path = await abandoned(one, race);
        for (const { serving } of clusters)
          for (const worker of serving) worker.tell({ command: 'listenOn', path });
        const toIt = entry => entry.path === path;
        const answered = program => [...program.all('bound', toIt), ...program.all('refused', toIt)];
        await Promise.all(
          clusters.map(program => program.until('answers', () => answered(program).length === 2)),
        );
        const bound = clusters.map(program => program.all('bound', toIt).length);
        const codes = clusters.flatMap(program => program.all('refused', toIt).map(({ code }) => code));
        const winners = bound.filter(count => count === 2).length;
        const { outcome } = await attempt(path, 3000);
        result.tried += 4;
        const right = winners === 1 && codes.every(code => code === 'EADDRINUSE') && codes.length === 2;
        if (!right || outcome !== 'served') result.lost += 4;
        counts[['none', 'one', 'both'][winners]]++;
        if (!right || outcome !== 'served')
          counts.example ??= `${bound} listen, ${codes}, a client is ${outcome}`;
      }
    }),
  );
  result.notes.push(
    `two clusters at once on an abandoned path: one got it ${counts.one} times, none ${counts.none} times, both ` +
      `${counts.both} times${counts.example ? ` (${counts.example})` : ''}`,
  );
}

/** A Unix path that a program has left as it died. */
async function abandoned(program, number) {
  const [path, kept] = [program.file(`new-${number}`), program.file(`left-${number}`)];
  const server = net.createServer();
  await once(server.listen(path), 'listening');
  // What closes takes its path away, but not under another name.
  fs.renameSync(path, kept);
  await new Promise(resolve => server.close(resolve));
  user.give(kept);
  fs.chmodSync(program.file('.'), 0o777);
  return kept;
}
