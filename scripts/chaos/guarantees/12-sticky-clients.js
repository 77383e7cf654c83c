'use strict';

// Sticky clients: a session is lost with its worker, and for no other reason, whoever dies or is replaced beside it, on
// connections of their own and on some that all share, as a proxy's. And ten thousand clients that say nothing, or a byte now and then, keep nobody waiting.

const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { withProgram } = require('../program');
const proc = require('../../../__test__/support/proc');
const { now, sleep } = require('../time');

/** Clients with a session each, and how long they wait for an answer, in milliseconds. */
const CLIENTS = 24;
const PATIENCE = 20_000;

/** How many connections clients share. */
const SHARED = 6;

/** What the primary's memory may grow by: at all, and for each who says nothing, in bytes. */
const GROWTH = 16 * 1024 * 1024;
const MEMORY = 4096;

module.exports = {
  title: 'Sticky clients (workers die and are replaced, clients say nothing)',
  limit: { short: 90_000, long: 600_000 },

  async run({ way, random, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'requests', notes: [], broken: [] };
    if (way === 'node') return { ...result, failed: "Node's own cluster has no sticky clients" };
    for (const [what, fell] of [
      ['killed', (program, { pid }) => proc.signal(pid, 'SIGKILL') && program],
      ['replaced', (program, { id }) => program.primary.tell({ command: 'replace', id })],
    ]) {
      for (const per of ['connection', 'request']) {
        const how = `workers are ${what}, ${per === 'request' ? 'clients share connections' : 'each has its own'}`;
        progress(how);
        await withProgram('sticky.js', { way, env: { PER: per } }, program =>
          sessions(program, { what, how, per, fell, random, short, result }),
        );
      }
    }
    progress('clients that say nothing');
    await withProgram('sticky.js', { way }, program =>
      silence(program, { count: short ? 2000 : 10_000, result }),
    );
    return result;
  },
};

/** One request, on a connection of its own unless there is an agent. */
function ask(port, sid, agent = false) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, agent, path: `/?sid=${sid ?? ''}`, timeout: PATIENCE };
    const request = http.get(options, async response => {
      try {
        let body = '';
        for await (const text of response) body += text;
        resolve(JSON.parse(body));
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error('hung')));
    // One that meets the end of an idle connection is asked again, as proxies do.
    request.on('error', error =>
      request.reusedSocket && error.code === 'ECONNRESET' ? resolve(ask(port, sid, agent)) : reject(error),
    );
  });
}

/** Clients show their sessions while workers fall, one after the other; a session may be lost with its worker only. */
async function sessions(program, { what, how, per, fell, random, short, result }) {
  const port = await program.listening(4);
  const fallen = new Set();
  let running = true;
  let moved = 0;
  let unanswered = 0;
  let requests = 0;
  let lostWithWorker = 0;
  const agent = per === 'request' && new http.Agent({ keepAlive: true, maxSockets: SHARED });
  const client = async () => {
    let session;
    while (running) {
      requests++;
      let answer;
      try {
        answer = await ask(port, session?.sid, agent);
      } catch {
        // What a worker that is killed has begun is lost with it. Its client asks again.
        if (!session || !fallen.has(session.id)) unanswered++;
        continue;
      }
      if (session && !answer.known) {
        if (fallen.has(session.id)) lostWithWorker++;
        else moved++;
      }
      session = answer;
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));
  for (let round = short ? 4 : 30; round > 0; round--) {
    await sleep(100);
    const victim = random.shuffle(program.serving)[0];
    const before = program.all('listening').length;
    fallen.add(victim.id);
    fell(program, victim);
    await program.events('exit', 1, ({ id }) => id === victim.id);
    await program.events('listening', before + 1);
  }
  running = false;
  await clients;
  if (agent) agent.destroy();
  // A request of somebody without a session may be with whoever is killed.
  const lost = moved + (what === 'replaced' ? unanswered : 0);
  result.tried += requests;
  result.lost += lost;
  result.notes.push(
    `${how}: ${requests} requests, ${lostWithWorker} sessions lost with their worker, ${moved} beside it, ` +
      `${unanswered} without an answer for another reason`,
  );
}

/** Many connect and say nothing, or a byte now and then: those who speak are served, and lose no session. */
async function silence(program, { count, result }) {
  const port = await program.listening(4);
  const first = await Promise.all(Array.from({ length: 8 }, () => ask(port)));
  const before = await usage(program);
  const silent = [];
  try {
    while (silent.length < count) {
      const some = Array.from({ length: 100 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
      await Promise.all(some.map(socket => once(socket, 'connect')));
      silent.push(...some);
    }
    const dripping = silent.slice(-200);
    const drip = setInterval(() => dripping.forEach(socket => void socket.write('G')), 1000);
    const start = now();
    let lost = 0;
    let tried = 0;
    while (now() - start < 4000) {
      for (const { id, sid } of first) {
        tried++;
        const answer = await ask(port, sid).catch(() => ({}));
        if (answer.id !== id || !answer.known) lost++;
      }
    }
    clearInterval(drip);
    const after = await usage(program);
    const grown = after.rss - before.rss;
    result.tried += tried;
    result.lost += lost;
    result.notes.push(
      `${count} say nothing, 200 of them a byte a second: ${tried} requests of others, ${lost} lost; the primary has grown ` +
        `by ${Math.round(grown / 1024)} KiB and worked ${Math.round(after.cpu - before.cpu)} ms`,
    );
    if (grown > GROWTH + count * MEMORY) result.broken.push(`the primary has grown by ${grown} bytes`);
  } finally {
    for (const socket of silent) socket.destroy();
  }
}

async function usage(program) {
  const asked = program.all('usage').length;
  program.primary.tell({ command: 'usage' });
  return (await program.events('usage', asked + 1))[asked];
}
