'use strict';

// Joins the channels of this cluster with those of other machines, over a broker that people run already. It lives in the
// primary, as a member of the hub that hears what is posted, and is the only one who is connected. What is posted here
// reaches this machine's processes whether there is a broker or not.
//
// Of the channels that were named the broker is asked from the beginning; of all others once somebody here listens: so what
// other machines say to each other does not come here.

const cluster = require('node:cluster');
const { randomBytes } = require('node:crypto');
const { EventEmitter } = require('node:events');
const os = require('node:os');
const { isMainThread } = require('node:worker_threads');

const errors = require('../errors');
const { load, runtime } = require('../native');
const { LONGEST_MACHINE } = require('./envelope');
const { joinOfBridge } = require('./hub');
const { Incoming } = require('./incoming');
const { Member } = require('./member');
const { Outgoing } = require('./outgoing');
const { checkName, say } = require('./protocol');
const { Reports } = require('./reports');

const FUNCTIONS = ['publish', 'subscribe', 'unsubscribe', 'close'];

/** What a prefix may be: a subject of NATS, of which brokers make nothing special. */
const PREFIX = /^[\w-]{1,64}(\.[\w-]{1,64}){0,7}$/;

class Bridge extends EventEmitter {
  #transport;
  #member;
  #outgoing;
  #incoming;
  #reports = new Reports(error => this.#tell(error));
  /** Whether the broker is there, and whether it ever was. */
  #isConnected = false;
  #wasConnected = false;
  #closed = false;
  /** Who waits for the next connection, or the end. */
  #waiting = [];
  #listeners = {
    connected: () => this.#connected(),
    disconnected: reason => this.#disconnected(reason),
    error: error => this.#reports.failed('The connection to the broker failed', error),
  };

  constructor(transport, options) {
    super();
    this.#transport = transport;
    const session = randomBytes(8);
    const relations = { transport, session, reports: this.#reports, ...options };
    this.#outgoing = new Outgoing(relations);
    this.#incoming = new Incoming({
      ...relations,
      relay: (count, topic, data) => this.#member.tell(say.relay(count, topic, data)),
      lost: (count, topic) => this.#member.mention(say.lost(count, topic)),
      missed: (channel, machine, missed) => this.#emit('gap', { channel, machine, missed }),
    });
    for (const [event, listener] of Object.entries(this.#listeners)) transport.on(event, listener);
    this.#join(options.channels);
    // Whoever has made it listens by then.
    process.nextTick(() => transport.connected && this.#connected());
  }

  /** Whether the broker is there. */
  get connected() {
    return !this.#closed && this.#transport.connected;
  }

  /** What was done since the beginning, in messages; `waiting`: in bytes. */
  figures() {
    return { ...this.#outgoing.figures(), ...this.#incoming.figures(), dropped: this.#reports.counts() };
  }

  /** Resolves when the broker is there, and knows of the channels: those that were named, or that somebody here has opened. */
  async ready() {
    while (!this.#closed) {
      await new Promise(resolve => this.#member.ask(say.sync, () => !resolve()));
      if (this.#isConnected) await this.#incoming.subscribed();
      if (this.#isConnected || this.#closed) return;
      await new Promise(resolve => this.#waiting.push(resolve));
    }
  }

  /** Tells the broker what waits for it if it is there, and nothing more. The client is still connected. */
  async close() {
    if (this.#closed) return;
    this.#outgoing.flush();
    this.#closed = true;
    for (const [event, listener] of Object.entries(this.#listeners))
      this.#transport.removeListener(event, listener);
    // A connection that ends late is nobody's.
    this.#transport.on('error', () => {});
    this.#member.close();
    this.#reports.close();
    this.#go();
    this.#incoming.close();
    await this.#transport.close();
  }

  #join(channels) {
    const member = new Member(joinOfBridge);
    this.#member = member;
    Object.assign(member.heard, {
      published: ({ from, topic, data }) => this.#outgoing.add(from, topic, data),
      missed: ({ topic, count }) => this.#outgoing.missed(topic, count),
      wanted: ({ topic, wanted }) => this.#incoming.want(topic, wanted),
      astray: () => this.#goAstray(),
      ended: reason => !this.#closed && this.#reports.report(reason, 0),
    });
    if (!channels) return member.tell(say.watch());
    for (const name of channels) {
      member.ask(
        id => say.subscribe(id, name),
        ({ is, why }) => {
          if (is === 'refused') this.#reports.report(errors.busRefused(why), 0);
          return true;
        },
      );
      this.#incoming.want(name, true);
    }
  }

  /** So much was posted, or opened and closed, that we were not told all of it: we are told anew what is wanted. */
  #goAstray() {
    this.#outgoing.astray();
    this.#incoming.astray();
    this.#member.ask(say.sync, () => !this.#incoming.settle());
  }

  #connected() {
    if (this.#isConnected || this.#closed) return;
    this.#isConnected = true;
    const again = this.#wasConnected;
    this.#wasConnected = true;
    this.#incoming.connected(again);
    this.#outgoing.connected();
    this.#emit('connected');
    this.#go();
  }

  #go() {
    for (const go of this.#waiting.splice(0)) go();
  }

  #disconnected(reason) {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#incoming.disconnected();
    this.#emit('disconnected', reason);
  }

  /** What a listener throws is for nobody but the process. */
  #emit(...event) {
    process.nextTick(() => !this.#closed && this.emit(...event));
  }

  /** Nobody has to listen, and nothing is lost silently. */
  #tell(error) {
    if (this.#closed) return;
    if (this.listenerCount('error') > 0) this.emit('error', error);
    else process.emitWarning(error);
  }
}

/**
 * @param {object} transport four functions and a status: see docs/bus.md
 * @param {object} [options]
 * @param {string[]} [options.channels] which channels are bridged; all, if it is not given
 * @param {string} [options.prefix] what the subjects at the broker begin with: an application's own
 * @param {string} [options.machine] what others know this machine by
 */
function bridge(transport, { prefix = 'rust-cluster', machine = os.hostname(), channels } = {}) {
  if (!load()) throw errors.noBusHere(runtime);
  if (!isMainThread || cluster.isWorker) throw errors.bridgeElsewhere();
  checkTransport(transport);
  if (typeof prefix !== 'string' || !PREFIX.test(prefix))
    throw errors.badBridgeOption(
      'prefix',
      'words of letters, digits, "-" and "_", with dots between them',
      prefix,
    );
  if (typeof machine !== 'string' || machine === '' || Buffer.byteLength(machine) > LONGEST_MACHINE)
    throw errors.badBridgeOption('machine', `a string of 1 to ${LONGEST_MACHINE} bytes`, machine);
  return new Bridge(transport, { prefix, machine, channels: namesOf(channels) });
}

function checkTransport(transport) {
  if (typeof transport?.on !== 'function' || typeof transport.removeListener !== 'function')
    throw errors.badTransportObject(transport);
  for (const name of FUNCTIONS)
    if (typeof transport[name] !== 'function') throw errors.badTransport(name, transport[name]);
}

function namesOf(channels) {
  if (channels === undefined) return undefined;
  if (!Array.isArray(channels) || channels.length === 0)
    throw errors.badBridgeOption('channels', 'an array of the names of channels', channels);
  return new Set(channels.map(name => checkName('channel', name)));
}

module.exports = { bridge };
