'use strict';

// What the workers listen on: one handle a key, opened when the first worker asks and closed when the last
// leaves. Opening, accepting and handing over are Rust's.

const { channel } = require('node:diagnostics_channel');
const net = require('node:net');
const { constants } = require('node:os');
const path = require('node:path');

const { open } = require('../channel/handles');
const errors = require('../errors');
const native = require('../native').load();

/** Node's default, 511: the kernel makes 512 of it. */
const BACKLOG = 511;

/** More than the kernel gives to any process: what cannot be the number of a descriptor is this one for the addon. */
const NO_DESCRIPTOR = 2 ** 31 - 1;

/** libuv's flags for uv_pipe_chmod. */
const UV_READABLE = 1;
const UV_WRITABLE = 2;

/** Connections go round the workers. */
class RoundRobin {
  #handle;
  #dispatch;

  constructor(acceptor, query, backlog, dispatch) {
    listenThroughNet(query, backlog, () => {
      this.#handle = new native.RoundRobinHandle(
        acceptor,
        query,
        Number.isInteger(backlog) && backlog > 0 ? Math.min(backlog, 2 ** 31 - 1) : BACKLOG,
        dispatch,
      );
      return this.#handle.errno;
    });
    this.workers = new Set();
    this.errno = this.#handle.errno;
    this.#dispatch = dispatch;
  }

  /** What a worker is told; its connections come under the listener's number. */
  get reply() {
    const { listener, kind, sockname } = this.#handle;
    const { policy, sticky } = this.#dispatch ?? {};
    return {
      listener,
      kind,
      sockname,
      perRequest: policy === 'sticky' && sticky.perRequest ? sticky : undefined,
    };
  }

  /** No descriptor goes to the workers. */
  fd = -1;

  get socket() {
    return this.#handle.fd;
  }

  add(worker) {
    this.workers.add(worker.id);
    this.#handle.add(worker.id);
  }

  /** @returns {boolean} whether that was the last one, and the socket is closed */
  remove(worker) {
    return this.workers.delete(worker.id) && this.#handle.remove(worker.id);
  }

  close() {
    this.#handle.close();
  }

  /** As `remove`, of one that goes on serving: the last gets all that clients have connected. */
  retire(worker) {
    return this.workers.delete(worker.id) && this.#handle.retire(worker.id);
  }
}

/**
 * Node's primary listens with a net.Server, and programs wrap its listen() or trace it (`net.server.listen`): they see
 * ours as well. The server itself opens nothing.
 * @param {() => number} open opens the socket: 0, or an error as libuv numbers it
 */
function listenThroughNet({ address, port, fd }, backlog, open) {
  const server = net.createServer();
  server._listen2 = () => {
    const errno = open();
    const traced = channel(`tracing:net.server.listen:${errno ? 'error' : 'asyncEnd'}`);
    if (!traced.hasSubscribers) return;
    traced.publish(errno ? { server, error: errors.listen(errno, address, port) } : { server });
  };
  if (fd !== undefined) server.listen({ fd, backlog });
  else if (port < 0) server.listen({ path: address, backlog });
  else server.listen({ port, backlog });
}

/**
 * Lets every user read or write a socket's path. libuv does it, since its versions differ in the bits they set.
 * @returns {number} 0, or the error as libuv numbers it
 */
function setRights(fd, rights) {
  let duplicate;
  try {
    duplicate = native.duplicate(fd);
  } catch ({ code }) {
    return -constants.errno[code];
  }
  const pipe = open('pipe', duplicate);
  const errno = pipe.fchmod(rights);
  pipe.close();
  return errno;
}

/** Every worker has a descriptor of the socket (SCHED_NONE, and always for UDP). */
class Shared {
  #handle;

  constructor(query) {
    this.#handle = new native.SharedHandle(query);
    this.workers = new Set();
    this.errno = this.#handle.errno;
  }

  get reply() {
    return { kind: this.#handle.kind };
  }

  get fd() {
    return this.#handle.fd;
  }

  get socket() {
    return this.#handle.fd;
  }

  add(worker) {
    this.workers.add(worker.id);
  }

  remove(worker) {
    if (!this.workers.delete(worker.id) || this.workers.size > 0) return false;
    this.close();
    return true;
  }

  close() {
    this.#handle.close();
  }

  /** The worker has the socket itself, and closes it when it likes. */
  retire(worker) {
    return this.remove(worker);
  }
}

class Listeners {
  #byKey = new Map();
  #acceptor;
  #settings;

  /**
   * @param {object | undefined} acceptor undefined: every socket is shared (SCHED_NONE)
   * @param {() => object} settings the cluster's, as they are when a worker asks
   */
  constructor(acceptor, settings) {
    this.#acceptor = acceptor;
    this.#settings = settings;
  }

  /**
   * A worker wants to listen.
   * @param {import('./worker')} worker
   * @param {object} query its 'queryServer' message
   * @returns {{ reply: object, fd: number, add(): void, drop(): void }} the answer, and what to do once it is sent,
   *   or cannot be
   */
  query(worker, query) {
    let key = keyOf(query);
    let handle = this.#byKey.get(key);
    if (handle?.workers.has(worker.id)) {
      // A second listen of one worker on one address is an attempt of its own, which fails, or not, as it
      // would without a cluster (node#60141, node#64869).
      key = `${key}#${++this.#attempts}`;
      handle = undefined;
    }
    handle ??= this.#open(query);
    if (handle.errno) return { reply: { errno: handle.errno, key }, fd: -1, add() {}, drop() {} };
    this.#byKey.set(key, handle);
    handle.data ??= query.data;
    return {
      reply: { errno: null, key, data: handle.data, ...handle.reply },
      fd: handle.fd,
      add: () => handle.add(worker),
      drop: () => this.#drop(key, handle),
    };
  }

  #attempts = 0;

  #open(query) {
    const { addressType, readableAll, writableAll } = query;
    // A worker that has learnt it from its own process does not ask.
    if (process.permission && require('./permission').isOffline()) return { errno: -constants.errno.EACCES };
    try {
      const wanted = wantedOf(query);
      const shared = !this.#acceptor || wanted.addressType.startsWith('udp');
      const handle = shared ? new Shared(wanted) : this.#openRoundRobin(query, wanted);
      const rights = (readableAll ? UV_READABLE : 0) | (writableAll ? UV_WRITABLE : 0);
      if (rights && addressType === -1 && !handle.errno) {
        handle.errno = setRights(handle.socket, rights);
        if (handle.errno) handle.close();
      }
      return handle;
    } catch {
      // No worker of ours asks for what cannot even be asked.
      return { errno: -constants.errno.EINVAL };
    }
  }

  #openRoundRobin({ address, port, backlog }, wanted) {
    const { dispatch } = this.#settings();
    const own =
      dispatch === undefined ? undefined : require('./dispatch').dispatchFor(dispatch, { port, address });
    return new RoundRobin(this.#acceptor, wanted, backlog, own);
  }

  /** Closes what was opened for a worker that did not get it, unless others have it. */
  #drop(key, handle) {
    if (handle.workers.size > 0) return;
    handle.close();
    this.#byKey.delete(key);
  }

  /** A worker closes one of its servers. */
  close(worker, key) {
    if (this.#byKey.get(key)?.remove(worker)) this.#byKey.delete(key);
  }

  /** A worker leaves. */
  remove(worker) {
    for (const [key, handle] of this.#byKey) {
      if (handle.remove(worker)) this.#byKey.delete(key);
    }
  }

  /** A worker leaves once it has served what it was given. */
  retire(worker) {
    for (const [key, handle] of this.#byKey) {
      if (handle.retire(worker)) this.#byKey.delete(key);
    }
  }
}

/** The n-th listen(0) of every worker gets the same port; any other address is one, whoever asks. */
function keyOf({ address, port, addressType, fd, index }) {
  const parts = [address, port, addressType, fd];
  if (port === 0) parts.push(index);
  // A broken worker may say { "toString": 1 }, of which no text can be made.
  return parts.map(part => (part !== null && typeof part === 'object' ? '?' : `${part}`)).join(':');
}

/** What a worker asks for, as the addon takes it. The message is the worker's: nothing in it is sure. */
function wantedOf({ address, port, addressType, fd, flags }) {
  const integer = value => (Number.isInteger(value) ? value : undefined);
  const udp = `${addressType}`.startsWith('udp');
  return {
    address: typeof address === 'string' ? shortest({ address, port }) : undefined,
    // dgram lets every port through: libuv takes its last 16 bits.
    port: udp ? port & 0xffff : integer(port),
    addressType: `${addressType}`,
    fd: fd >= 0 ? ((fd | 0) === fd ? fd : NO_DESCRIPTOR) : undefined,
    flags: integer(flags),
  };
}

/** Where libuv gives the kernel the whole of its structure, the rest of an abstract name is zeros. */
const NAME_LENGTH = Number.parseInt(process.versions.node, 10) < 22 ? 108 : 0;

/** A path has about 100 bytes in the kernel: the shorter of the absolute and the relative one is bound. */
function shortest({ address, port }) {
  if (!(port < 0)) return address;
  if (address[0] === '\0') {
    return address + '\0'.repeat(Math.max(0, NAME_LENGTH - Buffer.byteLength(address)));
  }
  const relative = path.relative(process.cwd(), address) || '.';
  return relative.length < address.length ? relative : address;
}

module.exports = Listeners;
