'use strict';

// A Socket.IO adapter over the bus. What the servers of the processes say to each other is that of Socket.IO's own adapter for
// clusters; how it travels is the bus's. On this machine the bus knows who is there, and who has ended. Servers of other machines
// are heard over a bridge, which carries what is posted and nothing else: they are there while they give signs of life, or until a
// server of their machine says that one has ended.

const { createRequire } = require('node:module');
const path = require('node:path');
const { types } = require('node:util');

const { isJson } = require('../channel/serialization');
const { BroadcastChannel } = require('./broadcast_channel');
const { toBytes } = require('./clone');
const { thisMember } = require('./member');
const { TO, say } = require('./protocol');
const { request } = require('./request');

/** For how many milliseconds whoever is new waits for those who are there: one of them may be stuck. */
const PATIENCE = 5000;

const NOTHING = toBytes(null);

/** The program's: whoever has no socket.io does not need it. */
function loadBase() {
  const paths = [path.dirname(process.argv[1] ?? ''), __dirname, process.cwd()];
  return createRequire(require.resolve('socket.io', { paths }))('socket.io-adapter');
}

/** A server of Socket.IO, as those in other processes see it. */
class Station {
  /** @type {Map<string, object>} of each namespace */
  adapters = new Map();
  #name;
  #uid;
  /** All servers hear this, and one hears what is for it alone. */
  #all;
  #own;
  /** The question that is answered when another server ends, by its id. */
  #watched = new Map();
  #end;

  constructor(name, uid) {
    this.#name = name;
    this.#uid = uid;
    this.#all = new BroadcastChannel(name);
    this.#own = new BroadcastChannel(this.#nameOf(uid));
    this.#all.onmessage = this.#own.onmessage = ({ data, from }) => this.#hear(data, Boolean(from.machine));
    // The broker was away.
    this.#all.ongap = ({ missed }) => {
      if (missed === undefined) for (const adapter of this.adapters.values()) adapter.greet();
    };
    this.#all.answer(namespace => this.adapters.get(namespace)?.introduction() ?? null);
    const end = new Promise(resolve => {
      this.#end = resolve;
    });
    // Whoever asks waits: when this process ends, the hub tells.
    this.#own.answer(() => end);
  }

  get uid() {
    return this.#uid;
  }

  #nameOf(uid) {
    return `${this.#name} ${uid}`;
  }

  /** Others may post on a channel of this name, too. */
  #hear(message, isAfar) {
    const { uid, nsp } = message ?? {};
    if (typeof uid === 'string' && uid !== this.#uid) this.adapters.get(nsp)?.hear(message, isAfar);
  }

  toAll(message) {
    // Clients may acknowledge something after the end.
    if (this.adapters.size > 0) this.#all.postMessage(asEmitted(message));
  }

  toOne(uid, message) {
    thisMember().tell(say.publish(this.#nameOf(uid), toBytes(asEmitted(message))));
  }

  /** How the others of this machine who have a namespace introduce themselves. */
  async others(namespace) {
    const signal = AbortSignal.timeout(PATIENCE);
    const answers = await request(this.#name, namespace, { to: 'all', signal });
    return answers.map(({ value }) => value).filter(Boolean);
  }

  /** Resolves when all is heard that was said before. */
  ready() {
    return this.#all.ready();
  }

  /** Tells all adapters when a server of this machine ends. */
  watch(uid) {
    if (this.#watched.has(uid)) return;
    const ended = () => {
      this.#watched.delete(uid);
      for (const adapter of this.adapters.values()) adapter.ended(uid);
    };
    const id = thisMember().ask(
      number => say.ask(number, TO.any, 0, this.#nameOf(uid), NOTHING),
      () => {
        process.nextTick(ended);
        return true;
      },
      true,
    );
    this.#watched.set(uid, id);
  }

  /** A namespace is closed; `true`: it was the last. */
  leave(namespace) {
    this.adapters.delete(namespace);
    if (this.adapters.size > 0) return false;
    this.#all.close();
    this.#own.close();
    this.#end();
    for (const id of this.#watched.values()) {
      thisMember().forget(id);
      thisMember().mention(say.forget(id));
    }
    return true;
  }
}

/** Whom it is for; what is empty does not travel: what has few objects travels as JSON (./clone.js). */
function withoutEmpty({ rooms, except, flags = {} }) {
  return {
    ...(rooms.length > 0 && { rooms }),
    ...(except.length > 0 && { except }),
    ...(Object.keys(flags).length > 0 && { flags }),
  };
}

/** A value as the clients of another process are to get it: what toJSON() makes of it, and without functions. */
function asEmitted(value) {
  return isJson(value) ? value : copy(value, '', new Map());
}

function copy(value, key, copies) {
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null || isCloned(value)) return value;
  if (copies.has(value)) return copies.get(value);
  if (typeof value.toJSON === 'function') return copy(value.toJSON(key), key, copies);
  const made = Array.isArray(value) ? [] : {};
  copies.set(value, made);
  for (const name of Object.keys(value)) made[name] = copy(value[name], name, copies);
  return made;
}

/** What structured clone copies as it is. */
const isCloned = value =>
  ArrayBuffer.isView(value) ||
  types.isAnyArrayBuffer(value) ||
  types.isDate(value) ||
  types.isMap(value) ||
  types.isSet(value);

/** @type {WeakMap<object, Map<string, Station>>} of each server of Socket.IO */
const stations = new WeakMap();

function stationOf(server, name, uid) {
  if (!stations.has(server)) stations.set(server, new Map());
  const ofServer = stations.get(server);
  if (!ofServer.has(name)) ofServer.set(name, new Station(name, uid));
  return ofServer.get(name);
}

/** @param {{ ClusterAdapterWithHeartbeat: any, MessageType: Record<string, number> }} base of socket.io-adapter */
const adapterOver = ({ ClusterAdapterWithHeartbeat, MessageType }) =>
  class BusAdapter extends ClusterAdapterWithHeartbeat {
    #name;
    #station;
    /** Until those who are there have answered. */
    #meeting;
    /** Broadcasts whose acknowledgements are waited for, and which servers have not said of how many clients. */
    #broadcasts = new Map();
    #count = 0;
    /** The servers of other machines. */
    #afar = new Set();
    /** What answers those who have greeted. */
    #answer;

    constructor(namespace, { name = 'socket.io', ...options } = {}) {
      super(namespace, options);
      this.cleanupTimer?.unref();
      this.#name = name;
      this.#station = stationOf(namespace.server, name, this.uid);
      this.uid = this.#station.uid;
      this.#station.adapters.set(namespace.name, this);
      this.greet();
      this.#meeting = this.#meet();
    }

    /** Releases of socket.io differ in whether, and when, they call it. */
    async init() {}

    /** Whoever hears it says that it is there. */
    greet() {
      this.publish({ type: MessageType.INITIAL_HEARTBEAT });
    }

    async #meet() {
      try {
        for (const { uid, afar } of await this.#station.others(this.nsp.name)) {
          this.#know(uid);
          for (const [other, seen] of afar) this.#knowAfar(other, seen);
        }
      } catch {
        // Those who are stuck are met when they say something.
      }
      this.#meeting = undefined;
    }

    #know(uid) {
      this.nodesMap.set(uid, Date.now());
      this.#station.watch(uid);
    }

    /** @param {number} seen when it has given its last sign of life */
    #knowAfar(uid, seen) {
      this.#afar.add(uid);
      this.nodesMap.set(uid, Math.max(seen, this.nodesMap.get(uid) ?? 0));
    }

    /** Who is here, and whom it knows of those that cannot be asked. */
    introduction() {
      return { uid: this.uid, afar: [...this.#afar].map(uid => [uid, this.nodesMap.get(uid)]) };
    }

    /** Resolves when it is known who was there at the call. */
    async #settled() {
      await (this.#meeting ?? this.#station.ready());
    }

    async close() {
      super.close();
      clearImmediate(this.#answer);
      if (this.#station.adapters.get(this.nsp.name) !== this) return;
      if (this.#station.leave(this.nsp.name)) stations.get(this.nsp.server)?.delete(this.#name);
    }

    scheduleHeartbeat() {
      super.scheduleHeartbeat();
      this.heartbeatTimer?.unref();
    }

    async doPublish(message) {
      const { data } = message;
      if (data?.opts) message.data = { ...data, opts: withoutEmpty(data.opts) };
      this.#say(() => this.#station.toAll(message));
      return '';
    }

    async doPublishResponse(uid, message) {
      this.#say(() => {
        // No bridge carries what is for one. The others have not asked for it, and drop it.
        if (this.#afar.has(uid)) this.#station.toAll(message);
        else this.#station.toOne(uid, message);
      });
    }

    /** What the base class makes of an error is a line for those who debug it. */
    #say(tell) {
      try {
        tell();
      } catch (error) {
        if (error.code !== 'ERR_RUST_CLUSTER_BUS_GONE') process.emitWarning(error);
        throw error;
      }
    }

    /** Nobody keeps what a client misses: it needs no place in that, as an argument of its listeners. */
    addOffsetIfNecessary() {}

    /** @param {boolean} isAfar whether it comes from another machine */
    hear(message, isAfar) {
      const { type, uid } = message;
      if (type !== MessageType.ADAPTER_CLOSE) {
        if (isAfar) this.#afar.add(uid);
        else this.#station.watch(uid);
      }
      if (type === MessageType.INITIAL_HEARTBEAT) this.#greeted(uid);
      else this.onMessage(message);
    }

    /** One answer for all who greet in a turn: when a broker is back all do. */
    #greeted(uid) {
      this.nodesMap.set(uid, Date.now());
      this.#answer ??= setImmediate(() => {
        this.#answer = undefined;
        this.publish({ type: MessageType.HEARTBEAT });
      });
    }

    /** A server of this machine is there no more. Those of other machines cannot see it. */
    ended(uid) {
      if (!this.nodesMap.has(uid)) return;
      this.removeNode(uid);
      if (this.#afar.size > 0)
        this.doPublish({ type: MessageType.ADAPTER_CLOSE, uid, nsp: this.nsp.name }).catch(() => {});
    }

    /** Nobody waits for its answers. The base class calls it, too: of those who give no sign of life. */
    removeNode(uid) {
      super.removeNode(uid);
      this.#afar.delete(uid);
      this.#countNone(uid);
    }

    #countNone(uid) {
      for (const { uncounted, counted } of this.#broadcasts.values()) if (uncounted.delete(uid)) counted(0);
    }

    broadcastWithAck(packet, opts, counted, acknowledged) {
      if (opts.flags?.local) return super.broadcastWithAck(packet, opts, counted, acknowledged);
      if (this.#meeting) {
        this.#meeting.then(() => this.broadcastWithAck(packet, opts, counted, acknowledged));
        return;
      }
      const requestId = `${this.uid} ${++this.#count}`;
      // Those of serverCount(). Who comes later is not waited for.
      const asked = new Set(this.nodesMap.keys());
      this.#broadcasts.set(requestId, { asked, uncounted: new Set(asked), counted, acknowledged });
      setTimeout(() => this.#broadcasts.delete(requestId), opts.flags?.timeout);
      const { rooms, except, flags } = opts;
      this.publish({
        type: MessageType.BROADCAST,
        data: { packet, requestId, opts: { rooms: [...rooms], except: [...except], flags } },
      });
      super.broadcastWithAck(packet, { ...opts, flags: { ...flags, local: true } }, counted, acknowledged);
    }

    onResponse(response) {
      const broadcast = this.#broadcasts.get(response.data.requestId);
      if (!broadcast) return super.onResponse(response);
      const { asked, uncounted, counted, acknowledged } = broadcast;
      if (response.type === MessageType.BROADCAST_CLIENT_COUNT) {
        if (uncounted.delete(response.uid)) counted(response.data.clientCount);
      } else if (asked.has(response.uid)) {
        acknowledged(response.data.packet);
      }
    }

    /** Of a server that has just begun its first heartbeat may be on its way. */
    async fetchSockets(opts) {
      if (!opts.flags?.local) await this.#settled();
      return super.fetchSockets(opts);
    }

    async serverSideEmit(packet) {
      if (typeof packet.at(-1) === 'function') await this.#settled();
      return super.serverSideEmit(packet);
    }

    async serverCount() {
      await this.#meeting;
      return super.serverCount();
    }
  };

let Adapter;

/**
 * What `io.adapter()` takes.
 * @param {{ name?: string, heartbeatInterval?: number, heartbeatTimeout?: number }} [options] `name`: of those that belong
 *   together
 */
function createAdapter(options) {
  Adapter ??= adapterOver(loadBase());
  // Called with `new`.
  return function BusAdapter(namespace) {
    return new Adapter(namespace, options);
  };
}

module.exports = { createAdapter };
