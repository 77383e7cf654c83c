'use strict';

// The exit matrix: every way to end, at every moment, in a worker, in two at once, and in the primary. No hang, no
// crash, no orphan, and the exit codes of Node's own cluster, which runs beside. What was sent before process.exit()
// arrives, from two workers, and from the primary to two. And the addon in threads that are terminated at random.
//
// Node's own primary dies when it answers a worker that has just ended ('error': EPIPE), if it comes to that. The
// run that gives the exit codes hears that error (HEAR), so that they do not depend on it; the one attacked does not.

const path = require('node:path');
const { PROGRAMS, withProgram } = require('../program');
const user = require('../../../__test__/support/user');
const { Child } = require('../../../__test__/support/child');

const ENDS = ['exit', 'abort', 'throw', 'reject', 'sigterm', 'sigint', 'disconnect', 'kill'];
const MOMENTS = ['start', 'online', 'handed', 'disconnecting'];
const WHO = ['worker', 'primary'];

/** Where ours is not as Node's own: there the second disconnect() is an uncaught error (node#32793). */
const BETTER = { 'worker kill disconnecting': ['0 worker 0', '0 worker 0 worker 0'] };

/** How long one program may take, in milliseconds. */
const WATCHDOG = 15_000;

/** How many messages each has sent when it exits, and their size. */
const FLOOD = { count: 20_000, size: 150 };

const all = [1, 2].flatMap(workers =>
  WHO.flatMap(who => MOMENTS.flatMap(moment => ENDS.map(end => ({ workers, who, moment, end })))),
);

module.exports = {
  title: 'Exit matrix, and threads terminated at random',
  limit: { short: 120_000, long: 1_200_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'ends', notes: [], broken: [] };
    const cells = short ? random.shuffle(all).slice(0, 16) : all;
    const differences = new Map();
    let next = 0;
    const lane = async () => {
      for (let cell = cells[next++]; cell; cell = cells[next++]) {
        progress(`${next} of ${cells.length} ends`);
        const { workers, who, end, moment } = cell;
        const name = `${who} ${end} ${moment}, ${workers} of them`;
        const found = await exits(cell, way);
        const expected =
          BETTER[`${who} ${end} ${moment}`]?.[workers - 1] ?? (await exits(cell, 'node', { HEAR: 1 }));
        result.tried++;
        if (found === expected && !found.includes('hangs')) continue;
        result.lost++;
        differences.set(name, `${found}, Node's own: ${expected}`);
      }
    };
    await Promise.all([lane(), lane()]);
    for (const [name, difference] of differences) result.notes.push(`${name}: ${difference}`);

    progress('exit with messages queued');
    for (let round = 0; round < (short ? 1 : 20); round++) {
      await flood(way, result, { who: 'workers' });
      await flood(way, result, { who: 'primary' });
    }

    const count = short ? 50 : 1000;
    progress(`${count} threads`);
    const env = { COUNT: count, SEED: random.below(2 ** 31) };
    const { end, output } = await run('threads.js', way, env, short ? 60_000 : 600_000);
    result.tried += count;
    if (end !== '0' || !output.includes('done')) result.broken.push(`threads: ${end} ${output.slice(-300)}`);
    result.notes.push(`${cells.length} ends, ${count} threads terminated: ${end}`);
    return result;
  },
};

/** How the primary and its worker ended, as text. */
async function exits({ workers, who, moment, end }, way, more) {
  const env = { WORKERS: workers, WHO: who, MOMENT: moment, END: end, ...more };
  const { end: primary, output } = await run('exits.js', way, env, WATCHDOG);
  // A signal to all of the group: whether the primary lives to see the worker's end is chance.
  const ends = end === 'sigint' ? [] : (output.match(/^worker .*/gm) ?? []);
  return [primary, ...ends].join(' ');
}

/** Two workers, or the primary to two, send many messages and exit at once. */
async function flood(way, result, { who }) {
  await withProgram('server.js', { way, env: { WORKERS: 2 } }, async program => {
    await program.listening(2);
    const { serving } = program;
    for (const one of who === 'workers' ? serving : [program.primary])
      one.tell({ command: 'flood', ...FLOOD });
    await Promise.all(serving.map(({ gone }) => gone));
    if (who === 'workers') await program.events('messages', 2);
    const counts =
      who === 'workers'
        ? program.all('messages').map(({ count }) => count)
        : program
            .log()
            .filter(line => line.startsWith('received'))
            .map(line => Number(line.split(' ')[2]));
    result.tried += 2;
    result.lost += 2 - counts.filter(count => count === FLOOD.count).length;
    result.notes.push(
      `${who} exit after ${FLOOD.count} messages ${who === 'primary' ? 'to each' : ''}: ${counts} arrive`,
    );
  });
}

/** Runs a program until all of its processes have ended: they hold its output. */
async function run(file, way, env, limit) {
  const child = new Child([path.join(PROGRAMS, file)], {
    env: { CLUSTER: way, ...env },
    ...user.ids(),
    limits: { core: 0 },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let end = '';
  for (const stream of [child.process.stdout, child.process.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text;
    });
  }
  child.exit.then(([code, signal]) => {
    end = `${signal ?? code}`;
  });
  let closed = false;
  child.close.then(() => {
    closed = true;
    child.look();
  });
  try {
    await child.until('end', () => closed, limit);
    return { end, output };
  } catch {
    return { end: end === '' ? 'hangs' : `${end} and hangs: an orphan`, output };
  } finally {
    await child.stop();
  }
}
