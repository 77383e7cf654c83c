'use strict';

// Telemetry under attack, while the cluster serves: clients of its address that say nothing, or a byte at a time, or a
// megabyte in a head, and that read nothing of what they ask for. Whoever asks meanwhile is answered, whoever connects to
// the cluster is served, and the primary keeps no more descriptors than there is room for, and no more memory.

const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { withProgram } = require('../program');
const { Crowd, outcomes } = require('../load');
const proc = require('../../../__test__/support/proc');
const { now, sleep } = require('../time');

const MIB = 2 ** 20;

/** How many clients say nothing, and how many of them are connected at once at most. */
const SILENT = { short: 2000, long: 10_000 };
const AT_ONCE = 100;

/** How many there are of each other kind, all the time. */
const OTHERS = 8;

/** How many descriptors of the primary may be telemetry's. */
const ROOM = 70;

/** How much memory may grow: answers that are not read, one a client, and what is needed once. */
const GROWTH = 48 * MIB;

const PATIENCE = 15_000;

module.exports = {
  title: 'Telemetry under attack',
  control: false,
  limit: { short: 60_000, long: 300_000 },

  async run({ way, short, progress }) {
    const env = { WORKERS: 3, TELEMETRY: 1 };
    return withProgram('server.js', { way, env }, async program => {
      await program.listening(3);
      const [{ address }] = await program.events('telemetry');
      const before = look(program);
      const crowd = new Crowd(program.targets[0], { clients: 8, patience: PATIENCE });
      const attack = new Attack(address);
      const asked = new Reader(address);
      await attack.run(SILENT[short ? 'short' : 'long'], progress);
      const during = look(program);
      const answers = await asked.stop();
      attack.stop();
      const attempts = await crowd.stop();
      return verdict({ attempts, answers, before, during, attack });
    });
  },
};

const look = ({ pid }) => ({
  descriptors: Object.keys(proc.descriptors(pid)).length,
  memory: proc.memory(pid).rss,
});

/** Those who do harm. */
class Attack {
  #address;
  #open = new Set();
  #timers = [];
  connected = 0;

  constructor(address) {
    this.#address = address;
  }

  async run(silent, progress) {
    const others = [() => this.#dribble(), () => this.#shout(), () => this.#ignore(), () => this.#watch()];
    for (const other of others) for (let count = 0; count < OTHERS; count++) this.#again(other);
    const clients = Array.from({ length: AT_ONCE }, async () => {
      while (this.connected < silent) {
        this.connected++;
        progress(`${this.connected} of ${silent} who say nothing`);
        // Until it is left, for another's sake.
        await once(this.#connect(), 'close');
      }
    });
    await Promise.all(clients);
  }

  stop() {
    this.#timers.forEach(clearInterval);
    this.#timers = undefined;
    for (const socket of this.#open) socket.destroy();
  }

  #connect() {
    const { address, port } = this.#address;
    const socket = net.connect(port, address).on('error', () => {});
    this.#open.add(socket);
    return socket.on('close', () => this.#open.delete(socket));
  }

  /** Whenever one of them is left another comes. */
  #again(other) {
    if (this.#timers) other().once('close', () => this.#again(other));
  }

  /** A byte now and then. */
  #dribble() {
    const socket = this.#connect().resume();
    const text = 'GET /status HTTP/1.1\r\nX: ';
    let place = 0;
    const timer = setInterval(() => socket.write(text[place++] ?? 'x'), 1000);
    this.#timers.push(timer);
    return socket.on('close', () => clearInterval(timer));
  }

  /** A megabyte in a head. */
  #shout() {
    const socket = this.#connect().resume();
    socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(MIB)}\r\n\r\n`);
    return socket;
  }

  /** Asks for much, and reads nothing. */
  #ignore() {
    const socket = this.#connect();
    socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000));
    return socket;
  }

  /** The same, of what never ends. */
  #watch() {
    const socket = this.#connect();
    socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    return socket;
  }
}

/** Asks for one thing after the other, each on a connection of its own. */
class Reader {
  #asking;
  #ends = false;
  answers = [];

  constructor(address) {
    this.#asking = this.#ask(address);
  }

  async #ask(address) {
    const paths = ['/readyz', '/metrics', '/livez', '/status'];
    for (let count = 0; !this.#ends; count++) {
      const start = now();
      const outcome = await get(address, paths[count % paths.length]);
      this.answers.push({ outcome, took: now() - start });
      await sleep(5);
    }
  }

  async stop() {
    this.#ends = true;
    await this.#asking;
    return this.answers;
  }
}

function get({ address, port }, path) {
  return new Promise(resolve => {
    const request = http.get({ host: address, port, path, agent: false, timeout: PATIENCE }, response =>
      response
        .on('error', () => resolve('cut off'))
        .on('end', () => resolve(response.statusCode === 200 ? 'answered' : `${response.statusCode}`))
        .resume(),
    );
    request.on('timeout', () => resolve('hung')).on('error', ({ code }) => resolve(code));
  });
}

function verdict({ attempts, answers, before, during, attack }) {
  const { served, ...failed } = outcomes(attempts);
  const unanswered = answers.filter(({ outcome }) => outcome !== 'answered');
  const took = answers.map(answer => answer.took).sort((one, other) => one - other);
  const broken = [];
  const descriptors = during.descriptors - before.descriptors;
  if (descriptors > ROOM) broken.push(`${descriptors} descriptors more`);
  const grown = during.memory - before.memory;
  if (grown > GROWTH) broken.push(`${Math.round(grown / MIB)} MiB more`);
  for (const { outcome } of unanswered.slice(0, 5)) broken.push(`an answer: ${outcome}`);
  return {
    tried: attempts.length + answers.length,
    lost: attempts.length - served + unanswered.length,
    unit: 'connections and readers',
    broken,
    notes: [
      `${served} connections served, ${Object.entries(failed).map(entry => entry.join(' '))}`,
      `${answers.length} answers, half of them within ${Math.round(took[took.length >> 1])} ms, all within ${Math.round(took.at(-1))} ms`,
      `${attack.connected} who said nothing; ${descriptors} descriptors and ${Math.round(grown / MIB)} MiB more`,
    ],
  };
}
