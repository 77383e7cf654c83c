'use strict';

// How the connections of a worker that is to leave come to their end without a request that is lost. The next answer on
// each says that it is the last one (`Connection: close`, GOAWAY), and so the client itself takes another connection.
// Those on which nothing is asked are ended one after the other, late: a request that crosses their end could not be
// answered, and who has not asked for long is the least likely to ask just then.

const { subscribe } = require('node:diagnostics_channel');

const native = require('../native').load();
const { parsersOf } = require('./parsers');

/** How often it is looked which connections are idle, in ms. */
const LOOK = 25;

/**
 * When a worker begins to end idle connections, and when all are to have ended; before, clients of HTTP/2 are told. Where
 * others serve on it is late: by then nearly all have come by. Where nobody does, their clients look elsewhere soon.
 */
const timesOf = ({ within, alone }) =>
  alone
    ? { first: Math.min(within * 0.05, 1000), last: Math.min(within * 0.1, 2500) }
    : { first: within * 0.5, last: within * 0.9 };

/** How long a client may take to hear that a session ends, in ms: what it has sent until then is answered. */
const UNTOLD = 500;

/** The highest number of a stream of HTTP/2: nothing that a client has sent is refused. */
const EVERY_STREAM = 2 ** 31 - 1;

/**
 * @param {object} what
 * @param {() => Iterable<import('node:net').Server>} what.servers those that listen now
 * @param {Map<object, Set<import('node:http2').Http2Session>>} what.sessions those that are open, by their server
 * @param {number} what.within how many milliseconds there are
 * @param {boolean} what.alone whether no other worker serves on; it may become so
 */
function drain(what) {
  const { servers, sessions } = what;
  const found = new Set();
  const find = () => {
    for (const server of servers()) {
      if (!found.has(server)) markAnswers(server);
      found.add(server);
    }
  };
  subscribe('http.server.request.start', sayLast);
  find();
  const start = performance.now();
  const timer = setInterval(() => {
    find();
    const passed = performance.now() - start;
    const { first, last } = timesOf(what);
    const idleToo = passed >= first;
    for (const open of sessions.values()) endSome(untold(open), first - passed, endSession);
    for (const server of idleToo ? found : []) endSome(idleConnections(server), last - passed, endIdle);
  }, LOOK);
  timer.unref();
}

/** Has those who are answered just now know that it is the last time. */
function markAnswers(server) {
  for (const { socket } of parsersOf(server)?.all() ?? [])
    if (socket?._httpMessage) isLast(socket._httpMessage);
}

/** Ends as many of those that are left as it takes to have ended all after `left` ms. */
function endSome(all, left, end) {
  const count = Math.ceil((all.length * LOOK) / Math.max(left, LOOK));
  all.slice(0, count).forEach(end);
}

const ending = new WeakSet();

const untold = sessions =>
  [...sessions].filter(session => !ending.has(session) && !session.closed && !session.destroyed);

/** A client that is told asks what is new elsewhere; all that is on its way is answered, and then what is open. */
function endSession(session) {
  ending.add(session);
  session.goaway(0, EVERY_STREAM);
  session.on('goaway', () => goesOn(session));
  setTimeout(() => session.close(), UNTOLD);
}

/** Node closes a session when the client says that it leaves it, and refuses what the client has sent just before. */
function goesOn(session) {
  session.close = () => {};
  process.nextTick(() => delete session.close);
}

/** The request that has come last on a connection. */
const latest = new WeakMap();

/** A request has come: its answer is the last one on its connection, unless the client has sent another one behind it. */
function sayLast({ request, response, socket }) {
  latest.set(socket, request);
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
  // Of one in pieces it is known later where it ends.
  if (encoding === undefined && hasMore(socket, Number(length))) return;
  if (encoding === undefined && length === '0') isLast(response);
  else isLastIf(() => request.complete && latest.get(socket) === request, response);
}

/** Where the head or the body of a request that was sent together with others ends, by its connection, for this turn. */
const ends = new WeakMap();

/** Whether a client that does not wait for answers has sent the next request already: that one is to be answered. */
function hasMore(socket, length) {
  const chunk = socket.parser?.getCurrentBuffer?.();
  if (!chunk) return false;
  const head = chunk.indexOf('\r\n\r\n', ends.get(socket) ?? 0);
  if (head < 0) return false;
  const end = head + 4 + length;
  if (!ends.has(socket)) process.nextTick(() => ends.delete(socket));
  ends.set(socket, end);
  return end < chunk.length;
}

/** Node writes `Connection: close` into the head, if that is still to come. */
function isLast(response) {
  if (!response.headersSent) response.shouldKeepAlive = false;
}

/**
 * Asked when the head is written: Node closes with the last answer, and a client that is still sending then loses that
 * one as well.
 */
function isLastIf(holds, response) {
  let keeps = response.shouldKeepAlive;
  Object.defineProperty(response, 'shouldKeepAlive', {
    get: () => keeps && !holds(),
    set(value) {
      keeps = value;
    },
  });
}

function endIdle(connection) {
  // What has come since the loop looked is read first.
  if (!native.hasUnread(connection._handle?.fd ?? -1)) connection.destroy();
}

/** Those on which nothing is asked: neither has the head of a request begun, nor is an answer under way. */
function idleConnections(server) {
  const list = parsersOf(server);
  if (!list) return [];
  const between = new Set(list.idle());
  return list
    .all()
    .filter(parser => between.has(parser) || parser.socket?.bytesRead === 0)
    .map(({ socket }) => socket)
    .filter(socket => socket && !socket.destroyed && !socket._httpMessage && socket.writableLength === 0);
}

module.exports = { drain };
