'use strict';

// The bus under attack, while the cluster serves: workers talk without end, as others are killed, one floods, one is stopped
// until more waits for it than is kept, and one after another writes garbage, lengths that lie and a million names. What
// each hears of another comes in its order, once, and what it misses is told, to the message; every request comes to its
// end; nobody has a lock, or leads, beside another; and the primary's memory is bounded.

const { withProgram } = require('../program');
const { Crowd, outcomes } = require('../load');
const proc = require('../../../__test__/support/proc');
const { now, sleep } = require('../time');

const MIB = 2 ** 20;

/** Who is in each slot: see programs/bus.js. */
const ROLES = ['talker', 'talker', 'talker', 'flooder', 'victim', 'victim', 'hostile', 'hostile'];

/** Messages of the flood that others hear while one is stopped: four times what is kept for it. */
const FLOOD = 6400;

/** How long it is stopped at least. */
const STOPPED = { short: 0, long: 30_000 };

/** How much the primary's memory may grow: what is kept for those who do not read, the store, and what arrives. */
const GROWTH = 768 * MIB;

const PATIENCE = 30_000;
const BLOCK = 500;

module.exports = {
  title: 'The bus under attack',
  control: false,
  limit: { short: 150_000, long: 600_000 },

  async run({ way, random, short, progress }) {
    const env = { ROLES: JSON.stringify(ROLES) };
    return withProgram('bus.js', { way, env }, async program => {
      const ready = await program.events('ready', ROLES.length, undefined, PATIENCE);
      const of = role => ready.filter(one => one.role === role).map(({ id }) => program.workers.get(id));
      const [talkers, [flooder]] = [of('talker'), of('flooder')];
      const members = [...talkers, flooder];
      const before = proc.mostResident(program.pid);
      for (const one of members) one.tell({ command: 'talk' });
      const crowd = new Crowd(program.targets[0], { clients: 4, patience: 4 * PATIENCE });
      const storm = new Storm(program, random);
      const attacks = attackAll(program, short, progress);
      await whileStopped(program, talkers, STOPPED[short ? 'short' : 'long'], progress);
      const told = await attacks;
      const killed = await storm.stop();
      const attempts = await crowd.stop();
      progress('who has heard what');
      const reports = await settle(program, members, killed);
      const grown = proc.mostResident(program.pid) - before;
      return verdict({ program, members, attempts, killed, told, grown, ...reports });
    });
  },
};

/** Kills victims, one or both, again and again. */
class Storm {
  /** When each was killed, by its number. */
  killed = new Map();
  #program;
  #ends = false;
  #storming;

  constructor(program, random) {
    this.#program = program;
    this.#storming = this.#storm(random);
  }

  async #storm(random) {
    while (!this.#ends) {
      await sleep(50 + random.below(100));
      const victims = living(this.#program, 'victim');
      for (const one of random.below(3) ? victims.slice(0, 1) : victims) kill(one, this.killed);
    }
  }

  async stop() {
    this.#ends = true;
    await this.#storming;
    return this.killed;
  }
}

/** Notes the time first: until then nobody may have what it holds. Of one that was killed already the end may not be told yet. */
function kill({ id, pid }, killed) {
  if (killed.has(id)) return;
  killed.set(id, now());
  proc.signal(pid, 'SIGKILL');
}

/** Those of a role that are ready, and have not ended as far as is known. */
function living(program, role) {
  const gone = new Set(program.all('exit').map(({ id }) => id));
  return program
    .all('ready', one => one.role === role && !gone.has(one.id))
    .map(({ id }) => program.workers.get(id));
}

/** Two at once do each harm in each way; who has done it is killed. In the long form, three times. */
async function attackAll(program, short, progress) {
  const [first] = living(program, 'hostile');
  first.tell({ command: 'attacks' });
  const [{ names }] = await program.events('attacks');
  let done = 0;
  for (let round = 0; round < (short ? 1 : 3); round++) {
    for (let number = 0; number < names.length; number += 2) {
      const pair = names.slice(number, number + 2);
      progress(pair.join(', '));
      const hostile = await program.until(
        'two who are hostile',
        () => {
          const found = living(program, 'hostile');
          return found.length >= 2 && found;
        },
        PATIENCE,
      );
      await Promise.all(
        pair.map(async (name, index) => {
          const { id, pid, gone } = hostile[index];
          hostile[index].tell({ command: 'attack', name });
          await program.events('attacked', 1, one => one.id === id, PATIENCE);
          proc.signal(pid, 'SIGKILL');
          await gone;
          await program.events('exit', 1, one => one.id === id, PATIENCE);
        }),
      );
      done += pair.length;
    }
    program.primary.tell({ command: 'block', ms: BLOCK });
    await program.events('unblocked', round + 1, undefined, PATIENCE);
  }
  return done;
}

/** Stops one that talks, until the others have heard so much more that not all of it is kept. */
async function whileStopped(program, talkers, least, progress) {
  const [deaf, other] = talkers;
  const start = await count(program, other);
  const end = now() + least;
  proc.stop(deaf.pid);
  while (now() < end || (await count(program, other)) < start + FLOOD) {
    progress('one is stopped');
    await sleep(100);
  }
  proc.signal(deaf.pid, 'SIGCONT');
}

let asked = 0;

/** How many messages of the flood it has heard, or missed. */
async function count(program, one) {
  const number = ++asked;
  one.tell({ command: 'count', number });
  const [{ heard, missed }] = await program.events('counted', 1, entry => entry.number === number, PATIENCE);
  return heard.flood + missed.flood;
}

/** What was said, and what was heard of it, once nobody says more. */
async function settle(program, members, killed) {
  program.primary.tell({ command: 'calm' });
  await program.events('calm');
  for (const one of ['victim', 'hostile'].flatMap(role => living(program, role))) kill(one, killed);
  for (const one of members) one.tell({ command: 'quiet' });
  const quiet = await program.events('quiet', members.length, undefined, 2 * PATIENCE);
  for (const one of members) one.tell({ command: 'report' });
  const reports = await program.events('report', members.length, undefined, PATIENCE);
  return { sent: new Map(quiet.map(({ id, sent }) => [id, sent])), reports };
}

/** What each has not heard, or heard too often, of what was said by those who live. */
function notToldExactly(sent, reports) {
  const wrong = [];
  for (const { id, heard, missed } of reports)
    for (const name of ['news', 'flood']) {
      const others = [...sent].filter(([other]) => other !== id).map(([, all]) => all[name]);
      const said = others.reduce((sum, one) => sum + one, 0);
      if (heard[name] + missed[name] !== said)
        wrong.push(`${name}: of ${said} worker ${id} heard ${heard[name]} and was told of ${missed[name]}`);
    }
  return wrong;
}

/** Who has had a lock, or has led, while another did: what they noted, in the order in which they did. */
function heldTogether(log, killed) {
  const holders = new Map();
  const wrong = [];
  let count = 0;
  for (const [what, name, id, time] of log.map(line => line.split(' '))) {
    if (what === 'free') {
      holders.delete(name);
    } else if (what === 'hold') {
      count++;
      const before = holders.get(name);
      const ended = killed.get(Number(before));
      if (before && !(ended < Number(time) / 1e6)) wrong.push(`${id} has ${name} beside ${before}`);
      holders.set(name, id);
    }
  }
  return { wrong, count };
}

function verdict({ program, members, attempts, killed, told, grown, sent, reports }) {
  const { served, ...failed } = outcomes(attempts);
  const held = heldTogether(program.log(), killed);
  const ids = new Set(members.map(({ id }) => id));
  const died = program.all('exit', ({ id }) => ids.has(id));
  const wrong = [
    ...reports.flatMap(({ id, wrong }) => wrong.map(text => `worker ${id}: ${text}`)),
    ...notToldExactly(sent, reports),
    ...held.wrong,
    ...died.map(({ id, code, signal }) => `worker ${id} has ended: ${code ?? signal}`),
  ];
  const broken = [];
  if (grown > GROWTH) broken.push(`${Math.round(grown / MIB)} MiB more`);
  const sum = pick => reports.map(pick).reduce((all, one) => all + (one ?? 0), 0);
  const total = what => sum(({ [what]: { news, flood } }) => news + flood);
  const ended = code => sum(({ ends }) => ends[code]);
  const messages = total('heard') + total('missed');
  return {
    tried: messages + attempts.length,
    lost: attempts.length - served + wrong.length,
    unit: 'messages and connections',
    broken: [...broken, ...wrong.slice(0, 10)],
    notes: [
      `${total('heard')} messages heard, ${total('missed')} missed and told; ${served} connections served, ${Object.entries(
        failed,
      )
        .map(entry => entry.join(' '))
        .join(', ')}`,
      `${ended('answered')} answers, ${ended('ERR_RUST_CLUSTER_BUS_GONE')} gone, ${ended('ERR_RUST_CLUSTER_BUS_NOBODY')} nobody, ` +
        `${ended('ERR_RUST_CLUSTER_BUS_FULL')} full; ${held.count} times a lock was held or somebody led`,
      `${killed.size} killed, ${told} attacks; ${Math.round(grown / MIB)} MiB more in the primary at most`,
    ],
  };
}
