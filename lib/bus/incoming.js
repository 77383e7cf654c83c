'use strict';

// What other machines say, as the broker brings it: twice, in another order, with holes, or never written by a bridge.

const v8 = require('node:v8');

const errors = require('../errors');
const { isOf, read, relayed } = require('./envelope');
const { LONGEST_DATA } = require('./protocol');
const { subjectOf } = require('./subject');

/** The version of V8's format of values that is written here, which is the latest that is read. */
const V8_FORMAT = v8.serialize(null)[1];

/** Bytes of an envelope: a message is no longer than a member's, and has its machine before it. */
const LONGEST = LONGEST_DATA + 512;

/** From how many bridges we remember what they have said last, of a channel. */
const MOST_SESSIONS = 4096;

/** A channel of which the broker is asked. */
class Heard {
  /** What each bridge has said last: in which epoch, and the number of what comes next. */
  #sessions = new Map();

  /**
   * How many messages of an envelope are known, and how many before it are not.
   * @returns {{ first: number, missed: number }} `missed`: 0: nobody knows how many; -1: none are missed
   */
  take({ session, epoch, number, count, unknownLoss }) {
    const known = this.#sessions.get(session);
    // The last epoch is before the first.
    const later = known ? (epoch - known.epoch) | 0 : 0;
    if (known && (later < 0 || (later === 0 && number + count < known.next)))
      return { first: count, missed: -1 };
    let [first, missed] = [0, unknownLoss || later > 0 ? 0 : -1];
    if (known && later === 0) {
      first = Math.max(0, known.next - number);
      if (number > known.next && !unknownLoss) missed = number - known.next;
      if (first > 0) missed = -1;
    }
    this.#remember(session, { epoch, next: number + count });
    return { first, missed };
  }

  /** Who has been silent for longest makes room. */
  #remember(session, last) {
    this.#sessions.delete(session);
    if (this.#sessions.size >= MOST_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value);
    this.#sessions.set(session, last);
  }
}

/** What a client has brought: Node's bytes, the web's, or what is none. */
function asBuffer(data) {
  if (Buffer.isBuffer(data)) return data;
  return data instanceof Uint8Array ? Buffer.from(data.buffer, data.byteOffset, data.length) : NOTHING;
}

const NOTHING = Buffer.alloc(0);

class Incoming {
  #relations;
  /** @type {Map<string, Heard>} */
  #heard = new Map();
  /** Those that are wanted as far as we were told, while we are told all anew. @type {Set<string> | undefined} */
  #wanted;
  #isConnected = false;
  /** What the broker is yet to say yes to. */
  #pending = new Set();
  #figures = { received: 0, missed: 0, repeated: 0 };

  /** @param {object} relations `transport`, `prefix`, `session`, `reports`, `relay`, `lost`, `missed` */
  constructor(relations) {
    this.#relations = relations;
  }

  figures() {
    return { ...this.#figures };
  }

  /** Somebody here listens to a channel, or nobody does any more. */
  want(topic, wanted) {
    if (wanted) this.#wanted?.add(topic);
    if (wanted === this.#heard.has(topic)) return;
    if (wanted) {
      this.#heard.set(topic, new Heard());
      if (this.#isConnected) this.#subscribe(topic);
    } else {
      this.#heard.delete(topic);
      this.#unsubscribe(topic);
    }
  }

  /** We have missed which channels are wanted, and are told all of them anew. */
  astray() {
    this.#wanted = new Set();
  }

  /** We were told all. */
  settle() {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted) for (const topic of [...this.#heard.keys()]) if (!wanted.has(topic)) this.want(topic, false);
  }

  /** @param {boolean} again those who listen may have missed something */
  connected(again) {
    this.#isConnected = true;
    for (const topic of this.#heard.keys()) {
      this.#subscribe(topic);
      if (again) this.#missed(topic, undefined, undefined);
    }
  }

  /** What the broker has not answered yet, it never will. */
  disconnected() {
    this.#isConnected = false;
    this.#pending.clear();
  }

  async subscribed() {
    await Promise.allSettled(this.#pending);
  }

  /** The transport lets go of its subscriptions. */
  close() {
    this.#heard.clear();
  }

  #subscribe(topic) {
    const { transport, prefix } = this.#relations;
    this.#attempt(() => transport.subscribe(subjectOf(prefix, topic), bytes => this.#hear(topic, bytes)));
  }

  /** Also while the broker is away: it is not to be subscribed to again. */
  #unsubscribe(topic) {
    const { transport, prefix } = this.#relations;
    this.#attempt(() => transport.unsubscribe(subjectOf(prefix, topic)));
  }

  async #attempt(act) {
    const { reports, transport } = this.#relations;
    let done;
    try {
      done = Promise.resolve(act());
      this.#pending.add(done);
      await done;
    } catch (error) {
      // It is done again once there is a connection.
      if (transport.connected) reports.failed('The broker did not take a subscription, or its end', error);
    } finally {
      this.#pending.delete(done);
    }
  }

  #hear(topic, data) {
    const { session } = this.#relations;
    const heard = this.#heard.get(topic);
    const bytes = asBuffer(data);
    // Nobody listens any more, or it is what we have said.
    if (!heard || isOf(session, bytes)) return;
    const found = bytes.length <= LONGEST ? read(bytes, V8_FORMAT) : { wrong: 'garbage' };
    if (found.wrong && found.wrong !== 'V8') return this.#refuse(found);
    const { first, missed } = heard.take(found);
    if (missed >= 0) this.#missed(topic, found.machine, missed || undefined);
    this.#figures.repeated += first;
    const count = found.count - first;
    if (count === 0) return;
    if (found.wrong) {
      this.#refuse(found, count);
      return this.#missed(topic, found.machine, count);
    }
    this.#relay(count, topic, relayed(bytes, found, first));
  }

  #relay(count, topic, data) {
    try {
      this.#relations.relay(count, topic, data);
      this.#figures.received += count;
    } catch (error) {
      this.#relations.reports.report(error, count);
      this.#missed(topic, undefined, count);
    }
  }

  #missed(topic, machine, count) {
    this.#figures.missed += count ?? 0;
    this.#relations.lost(count ?? 0, topic);
    this.#relations.missed(topic, machine, count);
  }

  #refuse({ wrong, theirs, machine }, count = 1) {
    const { prefix, reports } = this.#relations;
    if (wrong === 'garbage') reports.report(errors.bridgeGarbage(prefix), count);
    else if (wrong === 'V8')
      reports.report(errors.bridgeVersion(machine, "V8's format of values", theirs, V8_FORMAT), count);
    else reports.report(errors.bridgeVersion(machine, "the bridge's envelope", theirs, 1), count);
  }
}

module.exports = { Incoming };
