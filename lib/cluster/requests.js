'use strict';

// Connections on which the requests of many clients come, as those of a proxy's pool, where each request is to go to its
// client's worker (docs/sticky.md, `per: 'request'`). Loaded where that is asked for.
//
// Between two requests such a connection is not read from. When the next one comes, its head is looked at in the kernel
// (src/connections/requests.rs): one that is ours is read; else the connection goes back to the primary with all of it,
// which gives it to whoever is to have it. Whatever else is on a connection (TLS, HTTP/2, websockets, a request that was sent
// before the last one was answered) is read as ever.

const { subscribe } = require('node:diagnostics_channel');

const native = require('../native').load();
const { parsersOf } = require('./parsers');

/** How long an id is ours that the primary has led here, in ms: one that is hashed may get another owner. */
const LED = 1000;

/** What is known of connections, by their handles. */
const known = new WeakMap();

/** The requests of one listener. */
class Requests {
  #native;
  #passOn;
  /** Connections on which nothing has come since the last answer, by their numbers. */
  #between = new Map();
  /** Those of them that keep the process alive, as their sockets do. */
  #references = new Set();
  #last = 0;
  #ended = false;

  /**
   * @param {number} slot this worker's
   * @param {object} sticky what clients are known by, as the addon takes it
   * @param {(socket: import('node:net').Socket, peer: object | undefined) => boolean} passOn gives a duplicate of its
   *   descriptor to the primary; `false` if there is none to be had
   */
  constructor(slot, sticky, passOn) {
    this.#native = new native.Requests(slot, sticky, (number, isReset) => this.#onrequest(number, isReset));
    this.#passOn = passOn;
  }

  /** A connection has come, with its first request, which is ours. */
  meet(handle, peer) {
    const hash = this.#native.hash(handle.fd);
    known.set(handle, { requests: this, peer, led: hash && { hash, at: performance.now() }, number: 0 });
  }

  /** All that was asked is answered: the next request is looked at before it is read. */
  answered(socket) {
    const connection = known.get(socket._handle);
    if (this.#ended) return;
    if (!connection.number) {
      connection.number = this.#last = (this.#last % (2 ** 31 - 1)) + 1;
      socket.once('close', () => this.#forget(connection.number));
    }
    if (!this.#native.watch(socket._handle.fd, connection.number)) return;
    socket._handle.readStop();
    this.#between.set(connection.number, socket);
    // As Node's read would.
    if (!socket._handle.hasRef()) return;
    this.#references.add(connection.number);
    if (this.#references.size === 1) this.#native.setReference(true);
  }

  #forget(number) {
    this.#between.delete(number);
    if (this.#references.delete(number) && this.#references.size === 0) this.#native.setReference(false);
  }

  #onrequest(number, isReset) {
    const socket = this.#between.get(number);
    this.#forget(number);
    if (!socket?._handle) return;
    const { led, peer } = known.get(socket._handle);
    const { fd } = socket._handle;
    const isLed = led && performance.now() - led.at < LED;
    if (isReset || this.#native.isOurs(fd, isLed ? led.hash : 0)) return read(socket);
    this.#native.forget(fd);
    // The client sees nothing of it: what it is connected to is open elsewhere.
    if (this.#passOn(socket, peer)) socket.destroy();
    else read(socket);
  }

  /** The server is closed: what comes on its connections is read here. */
  end() {
    this.#ended = true;
    for (const [number, socket] of this.#between) {
      this.#forget(number);
      if (!socket._handle) continue;
      this.#native.forget(socket._handle.fd);
      read(socket);
    }
  }
}

const read = socket => socket._handle.readStart();

/** The connections on which an answer was finished in this turn, by their servers. */
let finished = new Map();

subscribe('http.server.response.finish', ({ request, socket, server }) => {
  if (!known.has(socket?._handle)) return;
  if (request.complete) finish(server, socket);
  else request.once('end', () => finish(server, socket));
});

/** Node has done with an answer, and with its request, after this turn. */
function finish(server, socket) {
  if (finished.size === 0) process.nextTick(answered);
  const sockets = finished.get(server);
  if (sockets) sockets.push(socket);
  else finished.set(server, [socket]);
}

function answered() {
  const all = finished;
  finished = new Map();
  for (const [server, sockets] of all) {
    // Those of which a part of the next request was read, too.
    const active = new Set(parsersOf(server)?.active());
    for (const socket of sockets) {
      if (isQuiet(socket) && !active.has(socket.parser)) known.get(socket._handle).requests.answered(socket);
    }
  }
}

/** Whether nothing is to be written on a connection that is open, and all that was read is with its parser. */
const isQuiet = socket =>
  socket._handle?.reading &&
  socket.writable &&
  socket.parser &&
  !socket._httpMessage &&
  socket.writableLength === 0 &&
  socket.readableLength === 0;

module.exports = { Requests };
