'use strict';

// No descriptors left, in one process or in all, by what they opened or by a lower limit, beside threads that open
// files all the time; none to take back what workers refuse; too many on their way to a worker that is stopped. And no
// threads and processes left. No crash, no spin, one warning an episode, service again within 200 ms of the first
// descriptor freed, no connection lost that was made meanwhile, and no message.

const { spawnSync } = require('node:child_process');
const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Crowd, Guest, attempt, outcomes } = require('../load');
const { measureLag, now, round, sleep } = require('../time');
const user = require('../../../__test__/support/user');

/** Until service goes on after the first descriptor was freed, in milliseconds: the guarantee. */
const BOUND = 200;

/** How much of a processor a starved process may use: the guarantee. */
const MOST_CPU = 0.05;

const DESCRIPTORS = 80;

/** How many messages are sent where no thread is left. */
const MESSAGES = 1000;

module.exports = {
  title: 'No descriptors, threads, processes left (ulimit)',
  limit: { short: 90_000, long: 300_000 },

  async run({ way, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections and messages', notes: [], broken: [] };
    const ms = short ? 600 : 5000;
    const under = async (what, workers, env, body) => {
      progress(what);
      const limits = { descriptors: DESCRIPTORS };
      await withProgram('server.js', { way, limits, env: { WORKERS: workers, ...env } }, async program => {
        await program.listening(workers);
        await body(program, { ms, what, way, result });
        healthy(program, what, result);
      }).catch(({ message }) => result.broken.push(`${what}: ${message.slice(0, 1000)}`));
    };
    await under('primary', 2, {}, async (program, more) => {
      for (let episode = 1; episode <= (short ? 2 : 5); episode++) {
        await starve(program, [program.primary], more);
        const warnings = program.all('warning').length;
        if (way === 'rust' && warnings !== episode)
          result.broken.push(`${warnings} warnings in ${episode} episodes`);
      }
    });
    await under('only worker', 1, {}, (program, more) => starve(program, program.serving, more));
    await under('two of three workers', 3, {}, (program, more) =>
      starve(program, program.serving.slice(0, 2), { ...more, served: true }),
    );
    await under('primary and both workers', 2, {}, (program, more) =>
      starve(program, [program.primary, ...program.serving], more),
    );
    await under('both workers, by a lower limit', 2, {}, (program, more) =>
      starve(program, program.serving, { ...more, by: lowerLimit }),
    );
    await under('beside busy threads', 2, {}, besideThreads);
    await under('connections come back to the primary', 2, { MOST: 1 }, comeBack);
    await under('too many on their way to a stopped worker', 2, {}, tooManyOnTheirWay);
    await under('no threads and processes', 2, {}, noThreads);
    return result;
  },
};

/** Everybody lives, and no worker was taken for a broken one. */
function healthy(program, what, result) {
  for (const event of ['end', 'exit', 'error']) {
    const expected = ({ id }) => !program.expected.has(id);
    const [first] = program.all(event, expected);
    if (first)
      result.broken.push(`${what}: '${event}' ${JSON.stringify(first)} ${program.stderr.slice(-300)}`);
  }
}

/** Takes processes' descriptors: they open files until there is none left. */
const hoard = {
  async take(program, peers) {
    for (const peer of peers) {
      const before = program.all('starved').length;
      peer.tell({ command: 'starve' });
      await program.events('starved', before + 1);
    }
  },
  // All but a few stay: the first one freed counts.
  giveSome: peers => peers.forEach(peer => void peer.tell({ command: 'feed', count: 4 })),
  giveAll: peers => peers.forEach(peer => void peer.tell({ command: 'feed' })),
};

/** Somebody else lowers their limits below what they have. */
const lowerLimit = {
  take: (_program, peers) => peers.forEach(({ pid }) => void prlimit(pid, 'nofile', 10)),
  giveSome: peers => peers.forEach(({ pid }) => void prlimit(pid, 'nofile', DESCRIPTORS)),
  giveAll() {},
};

/** Sets the soft limit of a running process, as who runs it: another needs to be more than root for it. */
function prlimit(pid, name, most) {
  const { error, status, stderr } = spawnSync(
    'prlimit',
    ['--pid', `${pid}`, `--${name}=${most}:`],
    user.ids(),
  );
  if (error || status !== 0) throw new Error(`prlimit (of util-linux): ${error?.message ?? stderr}`);
}

async function starve(program, peers, { ms, result, what, by = hoard, served = false }) {
  const [target] = program.targets;
  await by.take(program, peers);

  const lag = measureLag();
  const attempts = Array.from({ length: 20 }, () => attempt(target, ms + 5000));
  await sleep(100);
  const cpu = await used(peers, ms);

  const freed = now();
  by.giveSome(peers);
  const all = await Promise.all(attempts);
  by.giveAll(peers);
  const waited = lag();
  const { served: count, refused, reset, hung } = outcomes(all);
  // Beside one that has descriptors nobody waits; else service goes on with the first that is served.
  const ends = all.filter(({ outcome }) => outcome === 'served').map(({ end }) => end);
  const again = served ? Math.max(...ends) - freed : Math.min(...ends) - freed;

  result.tried += all.length;
  result.lost += all.length - count;
  if (!(again <= (served ? 0 : BOUND + waited)))
    result.broken.push(
      `${what}: ${served ? 'all are' : 'it'} served ${round(again)} ms after the first was freed`,
    );
  judge(cpu, what, result);
  result.notes.push(
    `${what}: ${count} of ${all.length} served, ${refused} refused, ${reset} reset, ${hung} left hanging, ` +
      `${served ? 'all' : 'again'} after ${round(again)} ms (lag ${round(waited)} ms), ` +
      `${percent(cpu)} of a processor while starved`,
  );
}

/** The largest share of a processor that one of some processes uses in a while. */
async function used(peers, ms) {
  const [start, before] = [now(), peers.map(({ pid }) => proc.cpu(pid))];
  await sleep(ms);
  return Math.max(...peers.map(({ pid }, index) => (proc.cpu(pid) - before[index]) / 1000 / (now() - start)));
}

const percent = share => `${round(share * 100)} %`;

function judge(share, what, result) {
  if (share > MOST_CPU) result.broken.push(`${what}: ${percent(share)} of a processor while starved`);
}

/**
 * A place that was free may be gone at the next call: other threads open files all the time, and more and more are kept,
 * under load. Whoever cannot be served now is served later.
 */
async function besideThreads(program, { ms, what, result }) {
  const peers = [program.primary, ...program.serving];
  for (const peer of peers) peer.tell({ command: 'openFiles' });
  await program.events('busy', peers.length);
  const crowd = new Crowd(program.targets[0], { clients: 16, patience: 4 * ms + 5000 });
  for (const peer of peers) peer.tell({ command: 'graze' });
  await sleep(3 * ms);
  for (const peer of peers) peer.tell({ command: 'feed' });
  await sleep(ms);
  const fed = now();
  await sleep(ms);
  const attempts = await crowd.stop();
  const { served, refused, reset, hung } = outcomes(attempts);
  const after = attempts.filter(({ start, outcome }) => start > fed && outcome === 'served');
  const serve = new Set(after.map(({ worker }) => worker));
  // The limit: who is short and has its connections taken back at the same instant may lose one, and says so.
  const told = program.stderr.match(/\[ERR_RUST_CLUSTER_LOST_CONNECTION\]/g)?.length ?? 0;
  result.tried += attempts.length;
  result.lost += Math.max(0, attempts.length - served - told);
  for (const { id } of program.serving) {
    if (!serve.has(id)) result.broken.push(`${what}: worker ${id} serves nobody after it was fed`);
  }
  result.notes.push(
    `${what}: ${served} served, ${refused} refused, ${reset} reset (${told} told by the worker), ${hung} left hanging; ` +
      `${after.length} of those served, by ` +
      `${serve.size} workers, after all were fed`,
  );
}

/** Full workers give connections back to a primary that has no descriptor to take them. */
async function comeBack(program, { ms, what, result }) {
  const [target] = program.targets;
  const workers = program.serving;
  const guests = await Promise.all(workers.map(() => Guest.come(target)));
  // They are handed what they will not take.
  for (const { pid } of workers) proc.stop(pid);
  const attempts = Array.from({ length: 6 }, () => attempt(target, ms + 10_000));
  await sleep(30);
  program.primary.tell({ command: 'starve' });
  for (const { pid } of workers) proc.signal(pid, 'SIGCONT');
  await program.events('starved');
  await sleep(200);
  const cpu = await used([program.primary], ms);
  for (const guest of guests) guest.leave();
  program.primary.tell({ command: 'feed' });
  const all = await Promise.all(attempts);
  const { served, refused, reset, hung } = outcomes(all);
  result.tried += all.length;
  result.lost += all.length - served;
  judge(cpu, what, result);
  result.notes.push(
    `${what}: ${served} of ${all.length} served, ${refused} refused, ${reset} reset, ${hung} left hanging, ` +
      `${percent(cpu)} of a processor in the primary meanwhile`,
  );
}

/** What waits for a stopped worker takes all descriptors that the user may have on their way: others get their messages. */
async function tooManyOnTheirWay(program, { ms, what, result }) {
  const [stopped, other] = program.serving;
  proc.stop(stopped.pid);
  program.primary.tell({ command: 'sendHandles', id: stopped.id, count: DESCRIPTORS + 15 });
  await program.events('sent');
  const names = ['a', 'b', 'c', 'd', 'e'];
  // In one turn; the second with a handle.
  program.primary.tell({ command: 'sendNames', id: other.id, names });
  await sleep(ms);
  program.expected.add(stopped.id);
  proc.signal(stopped.pid, 'SIGKILL');
  await program.events('exit', 1, ({ id }) => id === stopped.id);
  const isTold = name =>
    program.all('got', entry => entry.id === other.id && entry.name === name).length === 1;
  await program.until('messages', () => names.every(isTold), 5000).catch(() => {});
  const told = names.filter(isTold);
  const answers = await Promise.all(Array.from({ length: 10 }, () => attempt(program.targets[0], 5000)));
  const { served } = outcomes(answers);
  result.tried += names.length + answers.length;
  result.lost += names.length - told.length + answers.length - served;
  const untold = names.filter(name => !told.includes(name));
  result.notes.push(
    `${what}: of five messages to another ${told.length} arrive${untold.length > 0 ? ` (not ${untold})` : ''}, ${served} of ${answers.length} connections ` +
      'are served then',
  );
}

/** No thread and no process can be started: what is sent arrives, fork() says why it cannot. */
async function noThreads(program, { what, result }) {
  const workers = program.serving;
  for (const { pid } of [program.primary, ...workers]) prlimit(pid, 'nproc', 1);
  for (const worker of workers) {
    worker.tell({ command: 'chat', count: MESSAGES, size: 100 });
    program.primary.tell({ command: 'send', id: worker.id, count: MESSAGES, size: 100 });
  }
  program.primary.tell({ command: 'fork' });
  program.expected.add(workers.length + 1);
  await program
    .events('error', 1, ({ id }) => id === workers.length + 1)
    .catch(({ message }) => {
      result.broken.push(`${what}: fork(): ${message.split('\n')[0]}`);
    });
  await program.events('chatted', workers.length);
  const answers = await Promise.all(Array.from({ length: 10 }, () => attempt(program.targets[0], 5000)));
  const { served } = outcomes(answers);
  program.primary.tell({ command: 'disconnectAll' });
  for (const { id } of workers) program.expected.add(id);
  await program.events('messages', workers.length, ({ id }) => id <= workers.length);
  const up = program
    .all('messages', ({ id }) => id <= workers.length)
    .reduce((sum, { count }) => sum + count, 0);
  const received = program.log().filter(line => line.startsWith('received'));
  const down = received.reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
  // One more of each: what the worker says at the end.
  const sent = workers.length * MESSAGES;
  result.tried += 2 * sent + answers.length;
  result.lost += Math.max(0, sent + workers.length - up) + Math.max(0, sent - down) + answers.length - served;
  result.notes.push(
    `${what}: ${up - workers.length} of ${sent} messages of workers arrive, ${down} of ${sent} messages to them, ` +
      `${served} of ${answers.length} connections are served`,
  );
}
