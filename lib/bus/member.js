'use strict';

// This process as a member of the bus: its socket to the hub (src/bus/hub.rs), and what waits for the hub's word.
//
// It joins with the first thing that it says. What is said before the socket is there waits for it, in its order.

const cluster = require('node:cluster');
const { isMainThread } = require('node:worker_threads');

const errors = require('../errors');
const { load, runtime } = require('../native');
const { PROTOCOL, read, readJson } = require('./protocol');

const native = load();

/** What `Channel.read` returns: see src/node/channel/found.rs. */
const END = -1;

/** Bytes that may wait for the hub, which reads whatever the primary does: it is stopped, then. */
const MOST_QUEUED = 256 * 1024 * 1024;

/** How many times messages are taken at a call of Rust's. */
const RUNS = 8;

/** How long a process that cannot join for want of descriptors or memory waits before it tries again, in ms. */
const STARVED_PAUSE = 100;

/** Bytes of a buffer that is kept for what comes next. */
const LARGEST_SCRATCH = 2 * 1024 * 1024;

class Member {
  /** @type {Record<string, (notice: object) => void>} Called with what is no answer, by what it is. */
  heard = {};

  #join;
  #joined = false;
  #channel;
  /** Those of the channel's functions that many messages take. */
  #sendText;
  #take;
  #scratch;
  #ended;
  /** Bytes that waited for the hub when we last looked. */
  #queued = 0;
  /** What was said before the hub could be told. Its bytes, or units, are counted as what waits. */
  #unsaid = [];
  /** Who waits for the hub's word, by the number of the question. */
  #asked = new Map();
  #questions = 0;
  /** How many open channels and locks keep the process alive, and how many questions: until they are answered. */
  #lasting = 0;
  #passing = 0;
  /** Whether what lasts is no reason to stay any more. */
  #leaving = false;
  /** What keeps it alive until the socket is there. */
  #hold;

  /** Whether the channel keeps the process alive, as it was last told. */
  #keeps;

  /** @param {(joined: (error: Error | null, fd?: number) => void) => void} join gets a socket to the hub */
  constructor(join) {
    this.#join = join;
  }

  /** @param {Buffer | string} command of `say`, or of `sayJson` */
  tell(command) {
    if (this.#ended) throw this.#ended;
    this.#connect();
    if (this.#queued > MOST_QUEUED) this.#checkQueue();
    if (this.#channel) this.#send(command);
    else this.#wait(command);
  }

  #wait(command) {
    this.#unsaid.push(command);
    this.#queued += command.length;
  }

  #checkQueue() {
    if (this.#channel) this.#queued = this.#channel.queued;
    if (this.#queued > MOST_QUEUED) throw errors.busIsFull(this.#queued, MOST_QUEUED);
  }

  #send(command) {
    try {
      this.#queued =
        typeof command === 'string' ? this.#sendText(command) : this.#channel.sendAdvanced(command, -1);
    } catch (error) {
      // Its end is yet to be read.
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') throw errors.busGone();
      throw error;
    }
  }

  /**
   * Asks, and gets what the hub says of it until it returns true: it is answered.
   * @param {(id: number) => Buffer | string} question
   * @param {(notice: object) => boolean} heard
   * @param {boolean} [lasts] whether it is answered when others have done something, at some time
   * @returns {number} its number
   */
  ask(question, heard, lasts = false) {
    let id;
    do {
      id = this.#questions = (this.#questions + 1) >>> 0 || 1;
    } while (this.#asked.has(id));
    this.tell(question(id));
    this.#asked.set(id, { heard, lasts });
    this.#count(lasts, 1);
    return id;
  }

  /** Hears no more of a question. */
  forget(id) {
    const asked = this.#asked.get(id);
    if (this.#asked.delete(id)) this.#count(asked.lasts, -1);
  }

  #count(lasts, change) {
    if (lasts) this.#lasting += change;
    else this.#passing += change;
    this.#keep();
  }

  /** As `tell`, of what lets go of something: it is told though much waits, and no matter whether there is a hub still. */
  mention(command) {
    if (this.#ended) return;
    if (!this.#channel) return this.tell(command);
    try {
      this.#send(command);
    } catch {
      // Its end is yet to be read.
    }
  }

  /** An open channel keeps the process alive. */
  need() {
    this.#count(true, 1);
  }

  spare() {
    this.#count(true, -1);
  }

  /** Says and hears no more. */
  close() {
    this.#end(errors.busGone());
  }

  /** The worker has left the cluster: what is open here is no reason to stay. */
  leave() {
    this.#leaving = true;
    this.#keep();
  }

  #keep() {
    const needed = this.#passing > 0 || (this.#lasting > 0 && !this.#leaving);
    const keep = needed && !this.#ended;
    if (this.#channel && keep !== this.#keeps) {
      this.#keeps = keep;
      if (keep) this.#channel.ref();
      else this.#channel.unref();
    }
    const hold = keep && this.#joined && !this.#channel;
    if (hold) this.#hold ??= setInterval(() => {}, 0x7fff_ffff);
    else if (this.#hold) this.#hold = clearInterval(this.#hold);
  }

  #connect() {
    if (this.#joined) return;
    this.#joined = true;
    this.#keep();
    this.#askToJoin();
  }

  #askToJoin() {
    this.#join((error, fd) => {
      if (!error) this.#open(fd);
      else if (isStarved(error)) setTimeout(() => this.#askToJoin(), STARVED_PAUSE).unref();
      else this.#end(error);
    });
  }

  #open(fd) {
    this.#channel = new native.Channel(
      fd,
      () => this.#read(),
      () => {},
      { descriptors: false },
    );
    this.#sendText = this.#channel.sender();
    this.#take = this.#channel.reader();
    this.#keep();
    try {
      for (const command of this.#unsaid.splice(0)) this.#send(command);
    } catch (error) {
      this.#end(error);
    }
  }

  #read() {
    for (let runs = 0; runs < RUNS; runs++) {
      if (!this.#channel) return;
      const found = this.#take(this.#scratch);
      if (typeof found === 'number') {
        if (found === END) this.#end(errors.busGone());
        return;
      }
      if (typeof found === 'string') {
        this.#hear(readJson(JSON.parse(found)));
        continue;
      }
      if (found.json !== undefined) {
        for (const posted of JSON.parse(found.json)) this.#hear(readJson(posted));
        continue;
      }
      const bytes = found.scratch ?? this.#scratch;
      if (bytes.length <= LARGEST_SCRATCH) this.#scratch = bytes;
      let start = 0;
      for (const length of found.lengths) {
        this.#hear(read(bytes, start, start + length));
        start += length;
      }
    }
  }

  /** What it calls runs no code of the program's, but in a tick of its own; and it keeps no data. */
  #hear(notice) {
    const { id } = notice;
    if (id === undefined) {
      this.heard[notice.is]?.(notice);
    } else if (this.#asked.get(id)?.heard(notice)) {
      this.forget(id);
    }
  }

  #end(reason) {
    if (this.#ended) return;
    this.#ended = reason;
    this.#channel?.close();
    this.#channel = undefined;
    this.#unsaid = [];
    for (const [id, { heard }] of [...this.#asked]) {
      this.forget(id);
      process.nextTick(heard, { is: 'ended', id, reason });
    }
    this.heard.ended?.(reason);
    this.#keep();
  }
}

/** No descriptor is left, to this process, to the primary, or to the system, or no memory for one: that passes. */
const isStarved = ({ code }) => STARVED.has(code);
const STARVED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ENOSPC']);

/** Where a worker's cluster object has what lib/cluster/child.js is for it. */
const WITHIN = Symbol.for('rust-cluster.within');

function joinOfWorker(joined) {
  // Nobody answers then.
  const disconnected = () => joined(errors.busNotJoined('it has disconnected'));
  if (!process.connected) return process.nextTick(disconnected);
  process.once('disconnect', disconnected);
  cluster[WITHIN].channel.ask({ act: 'joinBus', protocol: PROTOCOL }, ({ errno, failed, code }, fd) => {
    process.removeListener('disconnect', disconnected);
    if (fd >= 0) return joined(null, fd);
    const starved = { code: code ?? native.errorName(-errno) };
    joined(isStarved(starved) ? starved : errors.busNotJoined(failed ?? starved.code));
  });
}

let member;

/** @returns {Member} this process */
function thisMember() {
  if (member) return member;
  if (!native) throw errors.noBusHere(runtime);
  if (!isMainThread || (cluster.isWorker && !cluster[WITHIN])) throw errors.noBus();
  if (cluster.isWorker) {
    member = new Member(joinOfWorker);
    process.once('disconnect', () => member.leave());
  } else {
    member = new Member(require('./hub').joinOfPrimary);
  }
  return member;
}

/** This process as others see it. */
const here = () => cluster.worker?.slot ?? 'primary';

/** What settles a promise by the hub's word. */
const settle = (resolve, reject, toValue) => notice => {
  if (notice.is === 'ended') reject(notice.reason);
  else if (notice.is === 'refused') reject(errors.busRefused(notice.why));
  else
    try {
      resolve(toValue?.(notice));
    } catch (reason) {
      // What another process has written is no value; or it is the reason.
      reject(reason);
    }
  return true;
};

/** Asks, and resolves to what `toValue` makes of the answer. */
const ask = (question, toValue) =>
  new Promise((resolve, reject) => thisMember().ask(question, settle(resolve, reject, toValue)));

module.exports = { Member, ask, here, settle, thisMember };
