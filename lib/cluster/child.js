'use strict';

// The cluster object of a worker.

const path = require('node:path');

const { STARVED_PAUSE, inAnyCase, withErrors, withHandles } = require('../channel/channel');
const native = require('../native').load();
const Worker = require('./worker');

/** What comes from the intake in the place of a descriptor: see src/node/intake.rs. */
const WAITS = -1;
const LOST = -2;
const BROKEN = -3;

/**
 * The flags of a connection, see there: the primary asks for a word; the client's address came with it; from that bit on,
 * the gauge on which it counts.
 */
const ASKS = 1;
const HAS_PEER = 2;
const GAUGE = 2;

/** For what the program loads of this package besides (rust-cluster/bus, /telemetry): another copy of these modules. */
const WITHIN = Symbol.for('rust-cluster.within');

/** Node 20 takes a maxConnections of 0 for no limit, later versions for none allowed. */
const ZERO_IS_NO_LIMIT = Number.parseInt(process.versions.node, 10) < 22;

/**
 * Makes `cluster` the cluster object of a worker.
 * @param {import('node:cluster').Cluster} cluster Node's own object, in place
 * @param {object} identity
 * @param {number} identity.id
 * @param {number} identity.slot
 * @param {import('../channel/channel').Channel} identity.channel
 * @param {number} identity.handoff the descriptor of the intake, -1 for none
 * @param {number} identity.board the descriptor of the board, -1 for none
 */
function install(cluster, { id, slot, channel, handoff, board }) {
  const worker = new Worker({ id, slot, process, state: 'online' });
  const child = new Child(worker, channel, handoff, board);
  for (const member of ['fork', 'setupPrimary', 'setupMaster', 'disconnect', 'workers', 'settings'])
    delete cluster[member];
  for (const member of ['SCHED_NONE', 'SCHED_RR', 'schedulingPolicy']) delete cluster[member];
  cluster.isWorker = true;
  cluster.isMaster = false;
  cluster.isPrimary = false;
  cluster.worker = worker;
  cluster.Worker = Worker;
  Object.defineProperty(cluster, WITHIN, { value: child });

  /** Called by net.Server and dgram.Socket to listen. */
  cluster._getServer = (server, options, callback) => child.getServer(server, options, callback);

  Worker.prototype.disconnect = function () {
    child.disconnect(this);
    return this;
  };

  Worker.prototype.destroy = function () {
    child.destroy(this);
  };

  supervise(child, worker, channel);
  channel.sendControl({ act: 'online' });
}

/** Where a supervisor has started it. */
function supervise(child, worker, channel) {
  const { RUST_CLUSTER_SUPERVISED: within } = process.env;
  if (within === undefined) return;
  delete process.env.RUST_CLUSTER_SUPERVISED;
  const { Supervised } = require('./supervised');
  child.supervised = new Supervised(worker, child, channel, Number(within));
}

/** What the worker serves, and how it leaves. */
class Child {
  /** What it does besides where there is a supervisor: see ./supervised. */
  supervised;
  /** Called once, when the worker begins to leave. */
  onleave = [];
  #worker;
  #channel;
  #intake;
  #board;
  #collector;
  /** The open handles, and the server or socket that each belongs to. */
  #handles = new Map();
  /** Round-robin handles by the number of their listener. */
  #byListener = new Map();
  #places = new Places();
  /** Those that count against a limit, once there is one. */
  #openConnections;
  /** The wait for a descriptor, or for memory. */
  #pause;
  /** How many round-robin handles keep the process alive. */
  #references = 0;
  /** Whether the primary was told that we go of our own will. */
  #announced = false;

  constructor(worker, channel, handoff, board) {
    this.#worker = worker;
    this.#channel = channel;
    channel.oncontrol = (message, fd) => {
      if (message?.act === 'collect') this.collector.take(message.part, fd);
      else if (fd >= 0) native.close(fd);
      if (message?.act === 'drain') this.supervised?.drain(message);
      else if (message?.act === 'end') this.supervised?.end();
      else if (message?.act === 'disconnect') this.#closeAll(worker.state !== 'disconnecting');
    };
    process.once('disconnect', () => {
      inAnyCase(
        () => worker.emit('disconnect'),
        // The primary is gone: nobody hands us connections any more.
        () => worker.exitedAfterDisconnect || process.exit(0),
      );
    });
    if (board >= 0) {
      this.#board = new native.Board(board, () => this.#sample());
      this.#board.share(channel.native);
    }
    if (handoff >= 0) {
      // Each in a tick of its own, as Node's: what one enters (AsyncLocalStorage) is nothing to the next.
      const onconnection = (...connection) => this.#onconnection(...connection);
      const intake = new native.Intake(
        handoff,
        (listener, fd, flags) => {
          const peer = flags & HAS_PEER ? intake.peer : undefined;
          process.nextTick(onconnection, listener, fd, flags & ASKS, peer, flags >> GAUGE);
        },
        this.#board,
      );
      this.#intake = intake;
    }
  }

  /** To the primary. */
  get channel() {
    return this.#channel;
  }

  /** What tells of the program's own metrics. */
  get collector() {
    if (!this.#collector) {
      const { Collector } = require('../telemetry/collect');
      this.#collector = new Collector();
    }
    return this.#collector;
  }

  /** For the primary, where somebody wants to know. */
  #sample() {
    let connections = 0;
    for (const { _connections } of new Set(this.#handles.values())) connections += _connections ?? 0;
    this.#board.sampled(connections, require('node:v8').getHeapStatistics().used_heap_size);
  }

  /** A connection, straight from the primary's acceptor. It may ask us to say when there is room for another. */
  #onconnection(listener, fd, asks, peer, gauge) {
    if (fd === WAITS) {
      this.#pause ??= setTimeout(() => {
        this.#pause = undefined;
        this.#intake.resume();
      }, STARVED_PAUSE);
    } else if (fd === LOST) {
      withErrors(errors => process.emitWarning(errors.lostConnection()));
    } else if (fd === BROKEN) {
      // Uncaught, it ends the process: one that listens and is deaf is of no use.
      withErrors(errors => {
        throw errors.brokenIntake(this.#intake.fault);
      });
    } else {
      this.#open(listener, fd, asks, peer, gauge);
    }
  }

  #open(listener, fd, asks, peer, gauge) {
    withHandles(({ open }) => this.#serve(listener, fd, asks, peer, gauge, open));
  }

  #serve(listener, fd, asks, peer, gauge, open) {
    const entry = this.#byListener.get(listener);
    const heard = process.listenerCount('internalMessage') > 0;
    if (!heard && !takes(entry)) {
      this.#giveBack(listener, fd, peer);
      if (gauge) this.#intake.frees(gauge);
      return;
    }
    let handle;
    try {
      handle = open(entry?.kind ?? native.descriptorKind(fd), fd);
    } finally {
      if (gauge && !handle) this.#intake.frees(gauge);
    }
    if (gauge) this.#count(handle, gauge);
    // As a proxy said it: what the kernel knows is the proxy.
    if (peer) handle.getpeername = out => Object.assign(out, peer) && 0;
    const handOver = () => this.#handOver(listener, handle, fd, asks, peer);
    if (!heard) return handOver();
    // Node's message of a new connection, for those who listen to it.
    const message = { cmd: 'NODE_CLUSTER', act: 'newconn', key: entry?.key };
    inAnyCase(() => process.emit('internalMessage', message, handle), handOver);
  }

  #count(handle, gauge) {
    this.#openConnections ??= new (require('./open_connections'))(this.#intake);
    this.#openConnections.add(handle, gauge);
  }

  #handOver(listener, handle, fd, asks, peer) {
    const entry = this.#byListener.get(listener);
    if (!takes(entry)) {
      this.#giveBack(listener, duplicate(fd), peer);
      handle.close();
      return;
    }
    entry.requests?.meet(handle, peer);
    inAnyCase(
      () => entry.handle.onconnection(0, handle),
      () => asks && this.#byListener.has(listener) && this.#tellOfRoom(listener),
    );
  }

  #giveBack(listener, fd, peer) {
    if (fd >= 0) this.#intake.giveBack(listener, fd, peer);
    if (this.#byListener.has(listener)) this.#tellWhenRoom(listener);
  }

  /** Tells the primary, once, that the server has room for another connection: now, or when it has. */
  #tellOfRoom(listener) {
    if (takes(this.#byListener.get(listener))) this.#intake.hasRoom(listener);
    else this.#tellWhenRoom(listener);
  }

  /** As `tellOfRoom`, of a server that is full. Node's calls a function of its own whenever a connection has closed. */
  #tellWhenRoom(listener) {
    const { server } = this.#byListener.get(listener);
    if (Object.hasOwn(server, '_emitCloseIfDrained')) return;
    const value = () => {
      delete server._emitCloseIfDrained;
      server._emitCloseIfDrained();
      if (this.#byListener.has(listener)) this.#tellOfRoom(listener);
    };
    Object.defineProperty(server, '_emitCloseIfDrained', { configurable: true, writable: true, value });
  }

  getServer(server, options, callback) {
    if (process.permission && require('./permission').refuses(options, callback)) return;
    const channel = this.#channel;
    let { address } = options;
    // The primary may be in another folder. An abstract name (its first character is NUL) is in none.
    if (options.port < 0 && typeof address === 'string' && address[0] !== '\0')
      address = path.resolve(address);
    this.supervised?.serves(server);
    const place = this.#places.take([address, options.port, options.addressType, options.fd].join(':'));
    const message = { act: 'queryServer', index: place.index, data: null, ...options, address };
    if (server._getServerData) message.data = server._getServerData();

    channel.ask(message, (reply, fd) => {
      if (typeof server._setServerData === 'function') server._setServerData(reply.data);
      if (reply.errno) {
        place.free();
        callback(reply.errno, null);
      } else if (fd >= 0) {
        withHandles(({ open }) => callback(0, this.#share(reply.key, open(reply.kind, fd), server, place)));
      } else {
        callback(0, this.#roundRobin(reply, server, place));
      }
    });

    server.once('listening', () => {
      // One that was closed at once is not listening.
      if (!place.taken) return;
      this.#worker.state = 'listening';
      const port = server.address()?.port || options.port;
      channel.sendControl({ ...message, act: 'listening', port });
    });
  }

  /** The handle of a socket that all workers share: Node's own, told to say when it closes. */
  #share(key, handle, server, place) {
    const { close } = handle;
    handle.close = (...args) => {
      if (this.#handles.delete(handle)) {
        place.free();
        this.#channel.sendControl({ act: 'close', key });
      }
      return close.apply(handle, args);
    };
    this.#handles.set(handle, server);
    return handle;
  }

  /** The handle of a server whose connections the primary accepts. */
  #roundRobin({ key, listener, kind, sockname, perRequest }, server, place) {
    let referenced = false;
    const handle = {
      listen: () => 0,

      close: () => {
        if (!this.#handles.delete(handle)) return;
        handle.unref();
        this.#byListener.get(listener).requests?.end();
        this.#byListener.delete(listener);
        place.free();
        this.#channel.sendControl({ act: 'close', key });
      },

      ref: () => {
        if (!referenced && this.#references++ === 0) this.#intake.ref();
        referenced = true;
      },

      unref: () => {
        if (referenced && --this.#references === 0) this.#intake.unref();
        referenced = false;
      },
    };
    if (sockname) {
      // With its name: console.log(server) shows it.
      const getsockname = out => {
        Object.assign(out, sockname);
        return 0;
      };
      handle.getsockname = getsockname;
    }
    handle.ref();
    this.#handles.set(handle, server);
    this.#byListener.set(listener, {
      key,
      handle,
      server,
      kind,
      requests: this.#requests(listener, perRequest),
    });
    return handle;
  }

  /** Where each request goes to its client's worker: see ./requests. */
  #requests(listener, sticky) {
    if (!sticky) return;
    const { Requests } = require('./requests');
    return new Requests(this.#worker.slot, sticky, ({ _handle: handle }, peer) => {
      const fd = duplicate(handle.fd);
      if (fd >= 0) this.#intake.passOn(listener, fd, peer);
      return fd >= 0;
    });
  }

  disconnect(worker) {
    if (worker.state === 'disconnecting' || worker.state === 'destroying') return;
    worker.state = 'disconnecting';
    worker.exitedAfterDisconnect = true;
    // The primary says when all that is ours is in our queue.
    if (this.#byListener.size > 0 && worker.isConnected()) this.#channel.sendControl({ act: 'leave' });
    else this.#closeAll(false);
  }

  destroy(worker) {
    if (worker.state === 'destroying') return;
    worker.exitedAfterDisconnect = true;
    if (!worker.isConnected()) {
      process.exit(0);
    }
    worker.state = 'destroying';
    this.#announceAndLeave();
    // After all listeners, also if one of them throws.
    process.prependOnceListener('disconnect', () => process.nextTick(() => process.exit(0)));
  }

  /** Those that listen. */
  get servers() {
    return new Set(this.#handles.values());
  }

  /** Closes all servers, then the channel. What the primary has given us is served first. */
  #closeAll(askedByPrimary) {
    this.#worker.exitedAfterDisconnect = true;
    for (const listener of this.onleave.splice(0)) listener();
    if (this.#intake?.drain() === false) {
      setTimeout(() => this.#closeAll(askedByPrimary), STARVED_PAUSE);
      return;
    }
    let left = 1;
    const closed = () => {
      if (--left > 0) return;
      this.#collector?.write();
      // The primary must know that it is wanted before it sees the channel end.
      if (askedByPrimary) leave();
      else this.#announceAndLeave();
    };
    // What was drained comes in ticks, and these come after it.
    for (const [handle, server] of this.#handles) {
      left++;
      process.nextTick(() => {
        if (!this.supervised?.drains) sayLast(server);
        this.#close(handle, server, closed, this.supervised?.drains ? Number.POSITIVE_INFINITY : LOOKS);
      });
    }
    process.nextTick(closed);
  }

  /** Closes a server, once nobody's first request can be on its way: see `endsConnections`. */
  #close(handle, server, closed, looks) {
    const waits = looks > 0 && server._connections > 0;
    if (!this.#handles.has(handle)) {
      // The program has closed it.
      if (server._connections > 0) server.once('close', closed);
      else closed();
    } else if (waits && endsConnections(server) && !this.#isShared(server)) {
      setTimeout(() => this.#close(handle, server, closed, looks - 1), LOOK);
    } else {
      let asked = false;
      // One that goes on accepting is closed first, and its connections end as ./drain has them end.
      const { close } = waits && this.supervised?.drains ? require('node:net').Server.prototype : server;
      try {
        close.call(server, closed);
        asked = true;
      } finally {
        // One whose close() throws keeps nobody.
        if (!asked) closed();
      }
    }
  }

  /** Whether a server goes on accepting until it is closed. */
  #isShared(server) {
    for (const entry of this.#byListener.values()) if (entry.server === server) return false;
    return true;
  }

  #announceAndLeave() {
    this.#collector?.write();
    if (!this.#announced) this.#channel.ask({ act: 'exitedAfterDisconnect' }, leave);
    this.#announced = true;
  }
}

/**
 * Whether a server's close() ends connections that are idle, as http's and http2's do. In some versions of Node they
 * are idle also before their first request, and what a client has sent may not have been read. So it is not called
 * while there are connections, for half a second: for as many turns of the loop as well, if it is blocked.
 */
const endsConnections = server => server.close !== require('node:net').Server.prototype.close;
const LOOK = 10;
const LOOKS = 50;

/** Has a server's HTTP/1 clients know that each answer is the last one on its connection. */
function sayLast(server) {
  if (typeof server.closeIdleConnections !== 'function') return;
  server.prependListener('request', ({ httpVersionMajor }, response) => {
    if (httpVersionMajor === 1) response.setHeader('Connection', 'close');
  });
}

function leave() {
  if (process.connected) process.disconnect();
}

/** For each address, the places of the listen calls that are in use. */
class Places {
  #byAddress = new Map();

  take(address) {
    const all = this.#byAddress;
    const used = all.get(address) ?? { next: 0, places: new Set() };
    all.set(address, used);
    const index = used.next++;
    used.places.add(index);
    const place = {
      index,
      taken: true,
      free() {
        place.taken = false;
        used.places.delete(index);
        if (used.places.size === 0 && all.get(address) === used) all.delete(address);
      },
    };
    return place;
  }
}

/**
 * Whether there is a server that takes a connection now; if not, another worker may. One that drops by itself gets it.
 * @param {{ server: import('node:net').Server & { _connections: number } } | undefined} entry
 */
function takes(entry) {
  if (!entry) return false;
  const { maxConnections, dropMaxConnection } = entry.server;
  if (maxConnections == null || (maxConnections === 0 && ZERO_IS_NO_LIMIT) || dropMaxConnection) return true;
  return entry.server._connections < maxConnections;
}

/** A duplicate of a descriptor, -1 where there is none to be had. */
function duplicate(fd) {
  try {
    return native.duplicate(fd);
  } catch {
    return -1;
  }
}

module.exports = install;
