'use strict';

// No leak: after many forks, connections and messages, with kills among them, the primary has the descriptors,
// threads, zombies and memory that it had.

const { withProgram } = require('../program');
const proc = require('../proc');
const { Crowd } = require('../load');
const { now, sleep } = require('../time');

const MIB = 2 ** 20;

/** What the primary's memory may grow by: the allocator's own unrest. */
const GROWTH = { short: 16 * MIB, long: 48 * MIB };

/** How long connections and forks go on at most, in milliseconds: a slow machine gets to fewer of them. */
const AT_MOST = { short: 30_000, long: 720_000 };

module.exports = {
  title: 'No leak',
  limit: { short: 60_000, long: 1_800_000 },

  async run({ way, random, short, progress }) {
    const total = short
      ? { forks: 12, connections: 2000, messages: 20_000 }
      : { forks: 2000, connections: 1_000_000, messages: 1_000_000 };
    const result = { tried: 0, lost: 0, unit: 'forks', notes: [], broken: [] };
    const options = { way, env: { WORKERS: 2 }, nodeArgs: ['--expose-gc'] };
    await withProgram('server.js', options, async program => {
      const port = await program.listening(2);
      const use = async amounts => {
        await chat(program, amounts.messages);
        const end = now() + AT_MOST[short ? 'short' : 'long'];
        const [connections, forks] = await Promise.all([
          connect(port, amounts.connections, end),
          churn(program, amounts.forks, { random, progress, end }),
        ]);
        return { connections, forks, messages: amounts.messages };
      };
      // What is allocated once is no leak: a burst of messages leaves its heap behind.
      await use({ forks: 4, connections: 500, messages: total.messages });
      const before = await usage(program);
      const used = await use(total);
      const after = await usage(program);
      result.tried = used.forks;
      for (const name of ['descriptors', 'threads', 'zombies']) {
        if (after[name] > before[name]) {
          result.lost += after[name] - before[name];
          result.broken.push(`${after[name] - before[name]} ${name}`);
        }
      }
      const grown = after.memory - before.memory;
      if (grown > GROWTH[short ? 'short' : 'long'])
        result.broken.push(`${Math.round(grown / MIB)} MiB of memory`);
      const figures = Object.keys(before).map(
        name => `${name} ${shown(before, name)} → ${shown(after, name)}`,
      );
      result.notes.push(
        `${used.forks} forks, ${used.connections} connections, ${2 * used.messages} messages: ${figures.join(', ')}`,
      );
    });
    return result;
  },
};

const shown = (usage, name) => (name === 'memory' ? `${Math.round(usage[name] / MIB)} MiB` : usage[name]);

async function chat(program, messages) {
  const [worker] = program.serving;
  const [chatted, sent] = [program.all('chatted').length, program.all('sent').length];
  worker.tell({ command: 'chat', count: messages, size: 100 });
  program.primary.tell({ command: 'send', id: worker.id, count: messages, size: 100 });
  await program.events('chatted', chatted + 1, undefined, 600_000);
  await program.events('sent', sent + 1, undefined, 600_000);
}

/** @returns {Promise<number>} how many it came to */
async function connect(port, count, end) {
  const crowd = new Crowd(port, { clients: 16 });
  while (crowd.attempts.length < count && now() < end) await sleep(50);
  return (await crowd.stop()).length;
}

/**
 * Workers come, and go in every way.
 *
 * @returns {Promise<number>} how many
 */
async function churn(program, forks, { random, progress, end }) {
  let done = 0;
  for (; done < forks && now() < end; done++) {
    const [{ id, pid }] = program.serving;
    const before = program.all('listening').length;
    program.primary.tell({ command: 'fork' });
    await program.events('listening', before + 1);
    if (random.below(2)) proc.signal(pid, 'SIGKILL');
    else program.primary.tell({ command: 'disconnect', id });
    await program.events('exit', 1, entry => entry.id === id);
    progress(`${done + 1} of ${forks} forks`);
  }
  return done;
}

async function usage(program) {
  const before = program.all('collected').length;
  program.primary.tell({ command: 'collect' });
  await program.events('collected', before + 1);
  const { pid } = program;
  return {
    descriptors: proc.descriptors(pid).length,
    threads: proc.threads(pid),
    zombies: proc.zombies(pid),
    memory: proc.rss(pid),
  };
}
