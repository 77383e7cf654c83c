'use strict';

// Hostile or broken workers: whatever they write on their channels and their handoff queues, and whatever numbers they
// name, the primary ends such a worker's channel with an 'error' event that says why, and everybody else goes on, also
// while one of them dies.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Rain, attempt, rain } = require('../load');
const { now, sleep } = require('../time');

/** What each attack (programs/hostile.js) must lead to: an error whose code matches, or none. */
const ATTACKS = {
  largeFrame: /TOO_LARGE/,
  unfinishedFrame: null,
  unfinishedHeader: null,
  unknownKind: /BAD_FRAME/,
  noJson: /BAD_MESSAGE/,
  twoInOne: null,
  noUtf8: null,
  empty: null,
  noAdvanced: /BAD_MESSAGE/,
  badParts: /BAD_FRAME/,
  outsideRing: /BAD_FRAME/,
  moreThanRing: /TOO_LARGE/,
  manyMarks: null,
  endlessMarks: /BAD_FRAME/,
  changesMemory: null,
  misplacedString: /BAD_MESSAGE/,
  noControl: /BAD_MESSAGE/,
  strangeControl: null,
  strangeControlWithDescriptors: null,
  strangeInternal: null,
  missingDescriptor: /STRAY_DESCRIPTOR/,
  strayDescriptor: /STRAY_DESCRIPTOR/,
  manyDescriptors: /STRAY_DESCRIPTOR|BAD_FRAME|TOO_LARGE/,
  strangeHandles: null,
  shutChannel: null,
  shortPacket: /BAD_HANDOFF/,
  longPacket: /BAD_HANDOFF/,
  bareReturn: /BAD_HANDOFF/,
  inventedRoom: null,
  roomWithDescriptor: /BAD_HANDOFF/,
  inventedConnection: /BAD_HANDOFF/,
  foreignConnection: /BAD_HANDOFF/,
  inventedProbe: /BAD_HANDOFF/,
  strangeListener: /BAD_HANDOFF/,
  shutHandoff: null,
};

/** The share of a processor that an attacked primary may use, with a hundred connections a second to place. */
const MOST_CPU = 0.25;

/** Those on the handoff queue, which Node's own cluster has not. */
const ON_HANDOFF = /Packet|Return|room|invented|foreign|Listener|Handoff/i;

module.exports = {
  title: 'Hostile or broken workers',
  limit: { short: 150_000, long: 900_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'attacks', notes: [], broken: [] };
    const attacks = Object.entries(ATTACKS).map(([name, code]) => ({ name, code }));
    for (let i = 0; i < (short ? 6 : 200); i++) {
      const name = random.pick(['bytesOnChannel', 'bytesOnHandoff']);
      attacks.push({ name, code: null, bytes: random.bytes(1 + random.below(64)).toString('base64') });
    }
    const possible = attacks.filter(({ name }) => way === 'rust' || !ON_HANDOFF.test(name));
    // Node's own primary dies of some: there each has a cluster of its own.
    const size = way === 'rust' ? 8 : 1;
    for (let first = 0; first < possible.length; first += size) {
      progress(`${first} of ${possible.length} attacks`);
      await withProgram('server.js', { way, env: { WORKERS: 3 } }, program =>
        against(program, possible.slice(first, first + size), { way, result }),
      );
    }
    progress('the descriptors of the primary');
    await nameDescriptors(way, result);
    await neverReads(way, result);
    await withoutListener(way, result);
    progress('memory that is rewritten');
    if (way === 'rust') await rewritesMemory(short, result);
    return result;
  },
};

/** Some attacks at once, each by a worker of its own, as one of those that are good dies. */
async function against(program, attacks, { way, result }) {
  const port = await program.listening(3);
  const good = program.serving;
  const open = Object.keys(proc.descriptors(program.pid)).length;
  for (const _ of attacks) program.primary.tell({ command: 'fork' });
  await program.listening(3 + attacks.length);
  const hostile = program.serving.filter(worker => !good.includes(worker));
  const falling = new Rain(port, { every: 10, patience: 2000 });
  const wrongs = await Promise.all(
    attacks.map(({ name, code, bytes }, index) => {
      const { id } = hostile[index];
      hostile[index].tell({ command: 'attack', name, bytes });
      return way === 'rust' && code ? told(program, id, code) : undefined;
    }),
  );
  const [dying] = good;
  proc.stop(dying.pid);
  const held = proc.connectionsHeld(dying.pid, port);
  proc.signal(dying.pid, 'SIGKILL');
  await sleep(150);
  // Whoever of them still lives, lives as others do: it is in nobody's way.
  const [start, used] = [now(), proc.cpu(program.pid)];
  await sleep(300);
  const share = (proc.cpu(program.pid) - used) / 1000 / (now() - start);
  const attempts = await falling.stop();
  for (const { pid } of hostile) proc.signal(pid, 'SIGKILL');
  await Promise.all(hostile.map(worker => worker.gone));
  // What the dead had been given goes with it.
  const lost = suffered(program, [dying, ...hostile], attempts).filter(one => !held.has(one.port));
  const left = way === 'rust' ? await leftOpen(program, open) : 0;

  const names = attacks.map(({ name }) => name).join(', ');
  const note = text => result.notes.push(text);
  result.tried += attacks.length;
  result.lost += wrongs.filter(Boolean).length;
  for (const [index, wrong] of wrongs.entries()) {
    const { name, bytes = '' } = attacks[index];
    if (wrong) note(`${name} ${bytes}: ${wrong}`);
  }
  if (program.all('end').length > 0) {
    result.lost++;
    note(`${names}: the primary has died (${program.stderr.trim().split('\n').at(-1)})`);
  } else if (lost.length > 0) {
    result.lost++;
    note(`${names}: ${lost.length} connections lost, the first ${lost[0].outcome}`);
  } else if (left > 0) {
    result.lost++;
    note(`${names}: ${left} descriptors of the primary stay open`);
  } else if (share > MOST_CPU) {
    result.lost++;
    note(`${names}: the primary uses ${Math.round(share * 100)} % of a processor`);
  }
}

/** How many descriptors more than `before` the primary keeps, once it has had time to close those of the attackers. */
async function leftOpen(program, before) {
  const end = now() + 2000;
  for (;;) {
    const left = Object.keys(proc.descriptors(program.pid)).length - before;
    if (left <= 0 || now() > end) return left;
    await sleep(10);
  }
}

/** @returns {Promise<string | undefined>} what went wrong with the 'error' of a worker, and its end */
async function told(program, id, code) {
  try {
    const [error] = await program.events('error', 1, entry => entry.id === id, 3000);
    await program.events('disconnect', 1, entry => entry.id === id, 3000);
    return code.test(error.code) ? undefined : `the error is ${error.code}`;
  } catch (error) {
    return error.message.split('\n')[0];
  }
}

/** The connections that were lost, besides those that a hostile worker had been given: they are its own. */
function suffered(program, hostile, attempts) {
  const ids = new Set(hostile.map(({ id }) => id));
  const given = program
    .log()
    .map(line => line.split(' ').map(Number))
    .filter(([id]) => ids.has(id));
  const isGiven = ({ port }) => given.some(([, noted]) => noted === port);
  return attempts.filter(one => one.outcome !== 'served' && !isGiven(one));
}

/** Two workers name every descriptor of the primary: none is closed, none read from, all go on. */
async function nameDescriptors(way, result) {
  await withProgram('server.js', { way, env: { WORKERS: 4, KINDS: 1 } }, async program => {
    const port = await program.listening(4);
    await program.events('kinds');
    const before = proc.descriptors(program.pid);
    const hostile = program.serving.slice(0, 2);
    for (const one of hostile) one.tell({ command: 'attack', name: 'nameDescriptors' });
    const attempts = await rain(port, 500, { every: 10, patience: 5000 });
    // Each has been answered by now: so has what it asks last.
    for (const one of hostile) one.tell({ command: 'chat', count: 1 });
    const answered = await program.events('chatted', hostile.length, undefined, 5000).catch(() => undefined);
    const after = proc.descriptors(program.pid);
    const gone = Object.keys(before).filter(fd => after[fd] !== before[fd]);
    program.primary.tell({ command: 'echo' });
    const echoed = await program.events('echoed', 1, undefined, 3000).catch(() => undefined);
    const ended = program.all('exit').length;
    const unserved = attempts.filter(({ outcome }) => outcome !== 'served').length;
    result.tried += hostile.length;
    if (gone.length > 0 || !answered || !echoed || ended > 0 || unserved > 0) result.lost += hostile.length;
    result.notes.push(
      `two workers name each descriptor of the primary: of ${Object.keys(before).length} ${gone.length} are closed ` +
        `(${gone.map(fd => before[fd]).join(' ')}), its own connection ${echoed ? 'answers' : 'is dead'}, the two are ` +
        `${answered ? 'heard' : 'no longer heard'}, ${ended} workers ended, ${unserved} of ${attempts.length} connections lost`,
    );
  });
}

/** A worker that never reads, while the primary sends: the others get theirs. */
async function neverReads(way, result) {
  await withProgram('server.js', { way, env: { WORKERS: 2 } }, async program => {
    const port = await program.listening(2);
    const [deaf, other] = program.serving;
    const memory = proc.memory(program.pid).rss;
    proc.stop(deaf.pid);
    program.primary.tell({ command: 'send', id: deaf.id, count: 2000, size: 10_000 });
    await program.events('sent');
    other.tell({ command: 'chat', count: 10 });
    await program.events('chatted');
    const answers = await Promise.all(Array.from({ length: 20 }, () => attempt(port, 3000)));
    const lost = answers.filter(({ outcome }) => outcome !== 'served').length;
    const grown = proc.memory(program.pid).rss - memory;
    result.tried++;
    if (lost > 0) result.lost++;
    proc.signal(deaf.pid, 'SIGKILL');
    await program.events('exit');
    result.notes.push(
      `a worker that never reads 20 MB: ${lost} of 20 connections lost, primary +${grown >> 20} MiB`,
    );
  });
}

/** A program that does not listen to a worker's 'error' goes on, too. */
async function withoutListener(way, result) {
  await withProgram('server.js', { way, env: { WORKERS: 2, DEAF: 1 } }, async program => {
    await program.listening(2);
    const [hostile, sender] = program.serving;
    for (const [worker, name] of [
      [hostile, 'noJson'],
      [sender, 'resetSockets'],
    ]) {
      worker.tell({ command: 'attack', name });
      if (worker === hostile) await worker.gone;
      else await sleep(300);
      result.tried++;
      if (program.all('end').length === 0) continue;
      result.lost++;
      const why = program.stderr.match(/.*Error: .*/g)?.at(-1) ?? program.stderr;
      result.notes.push(`${name}, and nobody listens to 'error': the primary has died (${why})`);
      return;
    }
  });
}

/**
 * A worker rewrites the memory that it shares with the primary, while that reads from it and writes to it: connections are
 * served, and the long strings of others, to and fro, are whole.
 */
async function rewritesMemory(short, result) {
  const env = { WORKERS: 3, SECONDS: short ? 2 : 30 };
  await withProgram('server.js', { way: 'rust', env }, async program => {
    const port = await program.listening(3);
    const [hostile, ...others] = program.serving;
    const falling = new Rain(port, { every: 10, patience: 5000 });
    hostile.tell({ command: 'attack', name: 'rewritesMemory' });
    const some = { count: 10, size: 50_000 };
    let rounds = 0;
    for (; program.all('rewritten').length + program.all('end').length === 0; rounds++) {
      for (const { id } of [hostile, ...others]) program.primary.tell({ command: 'send', id, ...some });
      for (const other of others) other.tell({ command: 'chat', ...some });
      await sleep(20);
    }
    const attempts = await falling.stop();
    const told = await program.events('chatted', rounds * others.length).catch(() => undefined);
    const lost = attempts.filter(({ outcome }) => outcome !== 'served').length;
    const torn = program.all('torn', ({ id }) => id !== hostile.id).length;
    const [{ code } = {}] = program.all('rewritten');
    const ends = program.all('exit').length;
    result.tried++;
    if (lost > 0 || torn > 0 || ends > 0 || code !== 0 || !told) result.lost++;
    result.notes.push(
      `a worker rewrites what it shares with the primary for ${env.SECONDS} s: ${lost} of ${attempts.length} connections ` +
        `lost, ${torn} of ${2 * rounds * others.length * some.count} messages of others torn, ${ends} workers ended, ` +
        `the primary ${told ? 'has heard all' : 'is no longer heard'}`,
    );
  });
}
