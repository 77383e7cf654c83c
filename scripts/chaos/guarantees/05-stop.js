'use strict';

// Stop: a rolling restart under load loses no request, whoever disconnects the worker, and messages that were
// sent before are delivered: the same of servers whose close() ends connections. cluster.disconnect() loses no connection either: those that come later are refused.

const { withProgram } = require('../program');
const { Crowd, outcomes } = require('../load');
const { now } = require('../time');
const web = require('../web');

/** Messages in each direction before a worker leaves. */
const MESSAGES = 200;

module.exports = {
  title: 'Stop (disconnect, rolling restart, under load)',
  limit: { short: 60_000, long: 600_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections and messages', notes: [], broken: [] };
    await withProgram('server.js', { way, env: { WORKERS: 4, DELAY: 5 } }, async program => {
      const port = await program.listening(4);
      const crowd = new Crowd(port, { clients: 16, patience: short ? 3000 : 10_000 });
      const rounds = short ? 3 : 20;
      for (let round = 0; round < rounds; round++) {
        progress(`rolling restart ${round + 1} of ${rounds}`);
        for (const worker of program.serving) await replace(program, worker, random);
      }
      const attempts = await crowd.stop();
      count(result, `${rounds} rolling restarts`, attempts, ({ outcome }) => outcome !== 'served');
      countMessages(result, program, rounds * 4);
    });
    for (const kind of Object.keys(web.servers)) {
      progress(`rolling restart, ${kind}`);
      await restartWeb(kind, { way, random, short, result });
    }
    for (let round = 0; round < (short ? 3 : 20); round++) {
      progress(`cluster.disconnect() ${round + 1}`);
      await withProgram('server.js', { way, env: { WORKERS: 4, DELAY: 5, WORK: 1 } }, program =>
        disconnectAll(program, result),
      );
    }
    return result;
  },
};

/** Requests on connections of their own, and on kept ones, while workers are replaced. */
async function restartWeb(kind, { way, random, short, result }) {
  await withProgram('server.js', { way, env: { WORKERS: 2, DELAY: 5, KIND: kind } }, async program => {
    const port = await program.listening(2);
    const patience = short ? 5000 : 10_000;
    const crowd = kept => new Crowd(port, { clients: 8, patience, visitor: () => web.visitor(kind, kept) });
    const crowds = [crowd(false), crowd(true)];
    const rounds = short ? 2 : 10;
    for (let round = 0; round < rounds; round++) {
      for (const worker of program.serving) await replace(program, worker, random);
    }
    const attempts = (await Promise.all(crowds.map(crowd => crowd.stop()))).flat();
    count(result, `${rounds} rolling restarts, ${kind}`, attempts, ({ outcome }) => outcome !== 'served');
    countMessages(result, program, rounds * 2);
  });
}

async function replace(program, worker, random) {
  const { id } = worker;
  const before = program.all('listening').length;
  program.primary.tell({ command: 'fork' });
  await program.events('listening', before + 1);
  if (random.below(2)) program.primary.tell({ command: 'disconnect', id, messages: MESSAGES });
  else worker.tell({ command: 'leave', messages: MESSAGES });
  await program.events('exit', 1, entry => entry.id === id);
}

async function disconnectAll(program, result) {
  const port = await program.listening(4);
  // More than the workers take in a turn of their loops. A port that is closed may soon be another program's.
  const crowd = new Crowd(port, { clients: 200, patience: 5000, untilRefused: true });
  await program.until('load', () => program.log().length > 50 || void poke(program));
  const told = now();
  program.primary.tell({ command: 'disconnectAll', messages: MESSAGES });
  await program.events('exit', 4);
  await program.events('disconnected');
  // A connection that finds the port closed is refused; one that was made is served. A client takes its connection for
  // made before its last packet of the handshake has arrived: if the port is closed in between, it is reset.
  const attempts = await crowd.stop();
  // It may find that out before it is told that it is connected.
  const isInHandshake = ({ outcome, made = Infinity, end }) =>
    outcome === 'reset' && made > told && end > told;
  const made = attempts.filter(one => one.outcome !== 'refused' && !isInHandshake(one));
  count(result, 'cluster.disconnect()', made, ({ outcome }) => outcome !== 'served');
  const late = attempts.filter(isInHandshake).length;
  if (late > 0) result.notes.push(`${late} connected while the port was being closed, and were reset`);
}

/** Has `until` look again soon: the log tells nobody that it grows. */
function poke(program) {
  setTimeout(() => program.primary.tell({ command: 'turn' }), 20);
}

function count(result, what, attempts, isLost) {
  const { served, refused, reset, hung } = outcomes(attempts);
  result.tried += attempts.length;
  result.lost += attempts.filter(isLost).length;
  result.notes.push(`${what}: ${served} served, ${refused} refused, ${reset} reset, ${hung} left hanging`);
}

function countMessages(result, program, workers) {
  const down = program
    .log()
    .filter(line => line.startsWith('received'))
    .map(line => Number(line.split(' ')[2]))
    .filter(received => received > 0);
  const up = program
    .all('messages')
    .map(({ count }) => count)
    .filter(Boolean);
  const delivered = [...down, ...up].reduce((sum, some) => sum + some, 0);
  const bad = program.all('exit', ({ code, signal }) => code !== 0 || signal !== null);
  result.tried += workers * MESSAGES;
  result.lost += workers * MESSAGES - delivered;
  result.notes.push(
    `${delivered} of ${workers * MESSAGES} messages delivered (${down.length} workers were told to leave,
    ${up.length} left by themselves)`.replace(/\s+/g, ' '),
  );
  if (bad.length > 0) result.broken.push(`${bad.length} workers ended badly: ${JSON.stringify(bad[0])}`);
}
