'use strict';

// A cluster whose workers talk over the bus without end, each slot in its role (ROLES): a 'talker' posts, asks, answers,
// locks, leads, serves connections, and keeps a ledger of what it hears; a 'victim' does the same until it is killed, and
// serves nobody; a 'flooder' posts more than one that is stopped can be kept; a 'hostile' one writes what it is told to
// (bus-hostile.js). Who ends is replaced.

const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');
const { cluster, say, note, obey, spin } = require('./tether');
const { BroadcastChannel, leader, locks } = require('rust-cluster/bus');

const { ROLES, ROLE, LISTEN } = process.env;

/** How many locks all want. */
const LOCKS = 3;

/** How many requests of one process wait at most, of those that it makes all the time. */
const MOST_PENDING = 40;

/** What is flooded with: so many at once, of so many units. */
const FLOOD = { count: 10, text: 'x'.repeat(10_000) };

/** How a request may end where processes are killed and do not read. */
const ENDS = ['ERR_RUST_CLUSTER_BUS_GONE', 'ERR_RUST_CLUSTER_BUS_NOBODY', 'ERR_RUST_CLUSTER_BUS_FULL'];

const below = limit => Math.floor(Math.random() * limit);
const time = () => process.hrtime.bigint();

function primary() {
  const roles = JSON.parse(ROLES);
  let calm = false;
  const fork = slot => {
    const worker = cluster.fork({ ROLE: roles[slot] }, { slot });
    worker.on('error', ({ code, message }) => say('error', { id: worker.id, code, message }));
  };
  cluster.on('listening', (worker, { port }) => say('listening', { id: worker.id, port }));
  cluster.on('exit', ({ id, slot }, code, signal) => {
    say('exit', { id, role: roles[slot], code, signal });
    if (!calm) fork(slot);
  });
  process.on('warning', ({ code, message }) => say('warning', { code, message }));
  for (const slot of roles.keys()) fork(slot);
  obey({
    calm() {
      calm = true;
      say('calm');
    },
    block({ ms }) {
      spin(ms);
      say('unblocked');
    },
  });
}

/** What one process hears, and what becomes of what it asks for. */
class Talker {
  #id = cluster.worker.id;
  #slot = cluster.worker.slot;
  #by = `${this.#slot}/${this.#id}`;
  #talking = false;
  #doing = [];
  #pending = 0;
  #asked = 0;
  sent = { news: 0, flood: 0, gossip: 0 };
  heard = { news: 0, flood: 0, gossip: 0 };
  missed = { news: 0, flood: 0, gossip: 0 };
  /** How many requests ended in each way; and what was wrong. */
  ends = {};
  wrong = [];
  #channels;
  #work = new BroadcastChannel('work');

  constructor() {
    this.#channels = Object.fromEntries(Object.keys(this.heard).map(name => [name, this.#listen(name)]));
    this.#work.answer(async ([n, by]) => {
      for (let turns = below(3); turns > 0; turns--) await pause(turns);
      return [n, by];
    });
  }

  #listen(name) {
    const last = {};
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [by, n], from }) => {
      if (Number.parseInt(by, 10) !== from) this.#say(`${name}: ${by} says slot ${from}`);
      if (!(n > (last[by] ?? 0))) this.#say(`${name}: ${n} of ${by} after ${last[by]}`);
      last[by] = n;
      this.heard[name]++;
    };
    channel.ongap = ({ missed }) => {
      this.missed[name] += missed;
    };
    return channel;
  }

  #say(wrong) {
    if (this.wrong.length < 5) this.wrong.push(wrong);
  }

  /** Resolves when it hears what others post. */
  ready() {
    return this.#work.ready();
  }

  #post(name, ...more) {
    this.#channels[name].postMessage([this.#by, ++this.sent[name], ...more]);
  }

  /** @param {string} name of the channel on which it posts */
  talk(name) {
    this.#talking = true;
    for (let number = 0; number < LOCKS; number++) this.#doing.push(this.#lock(`lock-${number}`));
    this.#doing.push(this.#lead(), this.#chat(name));
    if (ROLE === 'flooder') this.#doing.push(this.#flood());
  }

  async #chat(name) {
    while (this.#talking) {
      for (let count = 0; count < 3; count++) this.#post(name);
      if (this.#pending < MOST_PENDING) for (let count = 0; count < 2; count++) this.#doing.push(this.#ask());
      await pause(2);
    }
  }

  async #ask() {
    const n = ++this.#asked;
    const to = ['any', 'all', 'any', 'primary', below(6)][below(5)];
    this.#pending++;
    try {
      const answer = await this.#work.request([n, this.#by], { to });
      const results = to === 'all' ? answer : [{ status: 'fulfilled', value: answer }];
      for (const { status, value, reason } of results) {
        if (status === 'rejected') this.#ended(reason);
        else if (value[0] !== n || value[1] !== this.#by) this.#say(`${value} answers ${n} of ${this.#by}`);
        else this.ends.answered = (this.ends.answered ?? 0) + 1;
      }
    } catch (reason) {
      this.#ended(reason);
    }
    this.#pending--;
  }

  #ended({ code, message }) {
    if (ENDS.includes(code)) this.ends[code] = (this.ends[code] ?? 0) + 1;
    else this.#say(`a request: ${code} ${message}`);
  }

  async #lock(name) {
    while (this.#talking) {
      await locks.request(name, () => this.#hold(name));
      await pause(below(5));
    }
  }

  async #lead() {
    while (this.#talking) {
      await leader('only', () => this.#hold('leader'));
      await pause(below(20));
    }
  }

  /** Both are written before anybody else can have it. */
  async #hold(name) {
    note(`hold ${name} ${this.#id} ${time()}`);
    await pause(below(5));
    note(`free ${name} ${this.#id} ${time()}`);
  }

  async #flood() {
    while (this.#talking) {
      for (let count = 0; count < FLOOD.count; count++) this.#post('flood', FLOOD.text);
      await pause(5);
    }
  }

  /** Says no more, once all that it has asked for has come to its end, and all that it has said is in the hub. */
  async quiet() {
    this.#talking = false;
    await Promise.all(this.#doing);
    await this.ready();
  }

  /** What was missed is told when the rest has been read. */
  async report() {
    await this.ready();
    await this.ready();
    const { heard, missed, ends, wrong } = this;
    return { id: this.#id, heard, missed, ends, wrong };
  }
}

async function talk() {
  const { id } = cluster.worker;
  const talker = new Talker();
  await talker.ready();
  obey({
    talk: () => talker.talk('news'),
    count: ({ number }) => say('counted', { number, heard: talker.heard, missed: talker.missed }),
    quiet: () => talker.quiet().then(() => say('quiet', { id, sent: talker.sent })),
    report: () => talker.report().then(report => say('report', report)),
  });
  if (ROLE === 'victim') talker.talk('gossip');
  if (ROLE === 'talker') {
    const server = net.createServer(socket => socket.on('error', () => {}).write(`${id}\n`));
    await new Promise(resolve => server.listen(JSON.parse(LISTEN)[0], resolve));
  }
  say('ready', { id, role: ROLE });
}

if (cluster.isPrimary) primary();
else if (ROLE === 'hostile') require('./bus-hostile');
else talk();
