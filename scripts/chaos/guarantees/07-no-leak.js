'use strict';

// No leak: many forks, connections and messages, with kills among them, leave the primary the descriptors, threads,
// zombies and memory that it had. Connections come on a port and on a Unix path, half of the workers refuse what is more
// than their maxConnections, and some of the messages carry handles.
//
// Memory that was needed once is no leak: V8 and the allocator keep some of it for the next time. A leak grows with
// the work. So the work is done in equal parts, the first of which warms up, and the primary is looked at after each.
// Nobody has it collect its garbage: what it holds until it does so by itself is what users see.

const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { Crowd } = require('../load');
const { sleep } = require('../time');

const MIB = 2 ** 20;
const PARTS = 10;

/** What is done in all; as many messages go in each direction. */
const WORK = {
  short: { forks: 20, connections: 2000, messages: 20_000 },
  long: { forks: 2000, connections: 1_000_000, messages: 1_000_000 },
};

/** What the least memory of the later half may be more than that of the earlier: little work warms up little. */
const GROWTH = { short: 24 * MIB, long: 12 * MIB };

/** How many workers come and go at once. */
const AT_ONCE = 4;

/** How many handles are sent to a worker as it ends. */
const HANDLES = 10;

/** How long to wait for anything: nothing here is about time, and a machine may have more to do. */
const PATIENCE = 120_000;

module.exports = {
  title: 'No leak',
  limit: { short: 60_000, long: 3_600_000 },

  async run({ way, random, short, progress }) {
    const work = WORK[short ? 'short' : 'long'];
    const part = Object.fromEntries(Object.entries(work).map(([what, count]) => [what, count / PARTS]));
    const result = { tried: work.forks, lost: 0, unit: 'forks', notes: [], broken: [] };
    const env = {
      WORKERS: AT_ONCE,
      LISTEN: [{ port: 0, host: '127.0.0.1' }, { path: 'socket' }],
      MOST: [0, 2],
    };
    await withProgram('server.js', { way, env }, async program => {
      await program.listening(AT_ONCE);
      const looks = [];
      for (let number = 1; number <= PARTS; number++) {
        progress(`part ${number} of ${PARTS}`);
        await chat(program, part.messages / 2);
        const connected = program.targets.map(target => connect(target, part.connections / 2));
        await churn(program, part.forks, part.messages / 2 / part.forks, random);
        await Promise.all(connected);
        looks.push(await look(program));
      }
      judge(result, looks, GROWTH[short ? 'short' : 'long']);
      const { forks, connections, messages } = work;
      result.notes.push(
        `${forks} forks, ${connections} connections, ${2 * messages} messages, looked at after each tenth: ${told(looks)}`,
      );
    });
    return result;
  },
};

/** Adds to a result what has grown. */
function judge(result, looks, limit) {
  const [first, last] = [looks[0], looks.at(-1)];
  for (const name of ['descriptors', 'threads', 'zombies']) {
    if (last[name] > first[name]) {
      result.lost += last[name] - first[name];
      result.broken.push(`${last[name] - first[name]} ${name}`);
    }
  }
  const least = some => Math.min(...some.map(({ memory }) => memory));
  const grown = least(looks.slice(PARTS / 2)) - least(looks.slice(0, PARTS / 2));
  if (grown > limit) result.broken.push(`${mib(grown)} MiB of memory, which grows with the work`);
}

const mib = bytes => Math.round(bytes / MIB);

function told(looks) {
  const [first, last] = [looks[0], looks.at(-1)];
  const counts = ['descriptors', 'threads', 'zombies'].map(name => `${name} ${first[name]} → ${last[name]}`);
  return `${counts.join(', ')}, MiB of memory ${looks.map(({ memory }) => mib(memory)).join(' ')}`;
}

/** A burst of messages in each direction. */
async function chat(program, messages) {
  const [worker] = program.serving;
  const chatted = program.all('chatted').length;
  worker.tell({ command: 'chat', count: messages, size: 100 });
  await send(program, worker.id, messages);
  await program.events('chatted', chatted + 1, undefined, PATIENCE);
}

/** Has the primary send to a worker; when this returns some of it still waits to be written. */
async function send(program, id, messages) {
  const toIt = entry => entry.id === id;
  const sent = program.all('sent', toIt).length;
  program.primary.tell({ command: 'send', id, count: messages, size: 100 });
  await program.events('sent', sent + 1, toIt, PATIENCE);
}

async function connect(target, count) {
  const crowd = new Crowd(target, { clients: 8, patience: PATIENCE });
  while (crowd.running && crowd.attempts.length < count) await sleep(50);
  await crowd.stop();
}

/** Workers come, and go in every way, with messages on their way to and fro. */
async function churn(program, forks, messages, random) {
  for (let left = forks; left > 0; left -= AT_ONCE) {
    const count = Math.min(AT_ONCE, left);
    const leaving = program.serving.slice(0, count);
    for (let i = 0; i < count; i++) program.primary.tell({ command: 'fork' });
    await program.until('new workers', () => program.serving.length === AT_ONCE + count, PATIENCE);
    await Promise.all(leaving.map(worker => end(program, worker, messages, random)));
  }
}

async function end(program, worker, messages, random) {
  const { id, pid } = worker;
  worker.tell({ command: 'chat', count: messages, size: 100 });
  await send(program, id, messages);
  program.primary.tell({ command: 'sendHandles', id, count: HANDLES });
  if (random.below(2)) proc.signal(pid, 'SIGKILL');
  else program.primary.tell({ command: 'disconnect', id });
  await program.events('exit', 1, entry => entry.id === id, PATIENCE);
}

async function look(program) {
  const turned = program.all('turned').length;
  program.primary.tell({ command: 'turn' });
  await program.events('turned', turned + 1, undefined, PATIENCE);
  const { pid } = program;
  return {
    descriptors: Object.keys(proc.descriptors(pid)).length,
    threads: proc.threads(pid),
    zombies: proc.zombies(pid),
    memory: proc.memory(pid).rss,
  };
}
