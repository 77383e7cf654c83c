'use strict';

// Handles that travel with messages, and descriptors that become handles: net.Socket, net.Server,
// dgram.Socket and the raw handles beneath them.
//
// On its way a handle is a descriptor and a message { cmd: 'NODE_HANDLE', type, msg, ... }. The descriptor is
// duplicated when it is sent (src/node/channel/end.rs), so the sender may close its own at once: no answer of the
// receiver is waited for.

const net = require('node:net');
const { getSystemErrorName } = require('node:util');

const errors = require('../errors');
const native = require('../native').load();
const { SocketListReceive, SocketListSend } = require('./socket_list');

/** `TCPConstants.SOCKET` and `PipeConstants.SOCKET`. */
const SOCKET = 0;

const noop = () => {};

/** Few programs need it, and each process would wait for it to load. */
const loadDgram = () => require('node:dgram');

/**
 * Node's wrap classes are not public; they are the constructors of the handles of public objects. Those of
 * streams are found now: it takes a descriptor, and who could load this file has one. A process that may not use the
 * network (--permission) has none of these.
 */
const classes = {
  tcp: streamClass('tcp'),
  pipe: streamClass('pipe'),
  get udp() {
    const socket = loadDgram().createSocket('udp4').unref();
    const Wrap = udpHandle(socket).constructor;
    socket.close();
    Object.defineProperty(classes, 'udp', { value: Wrap });
    return Wrap;
  },
};

function streamClass(kind) {
  const fd = native.openSocket(kind);
  try {
    const socket = new net.Socket({ fd, readable: false, writable: false, manualStart: true });
    const Wrap = socket._handle.constructor;
    socket._handle.close();
    socket._handle = null;
    return Wrap;
  } catch (error) {
    native.close(fd);
    if (error.code !== 'ERR_ACCESS_DENIED') throw error;
    return undefined;
  }
}

/** The handle beneath a dgram.Socket. */
function udpHandle(socket) {
  const symbol = Object.getOwnPropertySymbols(socket).find(
    ({ description }) => description === 'state symbol',
  );
  return socket[symbol]?.handle;
}

/**
 * A handle over a descriptor.
 * @param {'tcp' | 'pipe' | 'udp'} kind
 * @param {number} fd closed if it cannot be adopted
 */
function open(kind, fd) {
  const Wrap = classes[kind];
  if (!Wrap) {
    native.close(fd);
    throw errors.accessDenied('Net', '--allow-net', '');
  }
  const handle = kind === 'udp' ? new Wrap() : new Wrap(SOCKET);
  const errno = handle.open(fd);
  if (errno) {
    native.close(fd);
    throw errors.system('open', getSystemErrorName(errno));
  }
  return handle;
}

/** Sent sockets that came from a server: their list in this process. */
function socketList(channel, direction, key) {
  const lists = channel.sockets[direction];
  const List = direction === 'send' ? SocketListSend : SocketListReceive;
  const list = lists.get(key) ?? new List(channel.target, key);
  lists.set(key, list);
  return list;
}

/** For each type of message, how it is sent: the handle, what the message says besides, what happens after. */
const senders = {
  'net.Socket'(channel, socket, { keepOpen }) {
    const handle = socket._handle;
    if (!handle) return {};
    const extra = {};
    if (socket.server) {
      extra.key = socket.server._connectionKey;
      const known = channel.sockets.send.has(extra.key);
      const list = socketList(channel, 'send', extra.key);
      if (!known) socket.server._setupWorker(list);
      if (!keepOpen) socket.server._connections--;
    }
    if (keepOpen) return { handle, extra };
    detach(socket);
    return { handle, extra, sent: () => handle.close() };
  },
  'net.Server': (_channel, server) => ({ handle: server._handle }),
  'net.Native': (_channel, handle) => ({ handle }),
  'dgram.Socket': (_channel, socket) => ({ handle: udpHandle(socket), extra: { dgramType: socket.type } }),
  'dgram.Native': (_channel, handle) => ({ handle }),
};

/** Takes the handle out of a socket that goes to another process. */
function detach(socket) {
  const { parser, _httpMessage } = socket;
  socket._handle.onread = noop;
  if (parser) {
    // An HTTP parser may read from the handle itself.
    if (parser._consumed) parser.unconsume();
    parser.remove();
    parser.socket = null;
    parser.incoming = null;
    socket.parser = null;
    _httpMessage?.detachSocket(socket);
  }
  socket._handle = null;
  socket.setTimeout(0);
}

const isOf = (Wrap, handle) => Wrap !== undefined && handle instanceof Wrap;

function typeOf(handle) {
  if (handle instanceof net.Socket) return 'net.Socket';
  if (handle instanceof net.Server) return 'net.Server';
  if (isOf(classes.tcp, handle) || isOf(classes.pipe, handle)) return 'net.Native';
  if (handle instanceof loadDgram().Socket) return 'dgram.Socket';
  if (handle instanceof classes.udp) return 'dgram.Native';
  throw errors.invalidHandleType();
}

/**
 * Prepares a handle for its way.
 * @returns {{ message: object, fd: number, sent(): void }} what to send, and what to do once it is
 */
function send(channel, msg, sentHandle, options) {
  const type = typeOf(sentHandle);
  const { handle, extra, sent = noop } = senders[type](channel, sentHandle, options);
  // A handle that was sent before is none any more: the text goes alone.
  if (!handle) return { message: msg, fd: -1, sent };
  // A round-robin server has no descriptor of its own.
  if (!(handle.fd >= 0)) throw errors.invalidHandleType();
  return { message: { cmd: 'NODE_HANDLE', type, msg, ...extra }, fd: handle.fd, sent };
}

/** Workers whose sockets have had an error that nobody heard, and who were told of it. */
const told = new WeakSet();

/**
 * What a worker has sent may end with an error although nobody looks at it: a client resets its connection, say.
 * An 'error' event that nobody hears ends a process; a worker must not end the primary so. (In a worker it is as
 * in Node: who sends to it is the primary.)
 */
function heard({ target }, emitter) {
  if (target === process) return emitter;
  return emitter.on('error', error => {
    if (emitter.listenerCount('error') > 1 || told.has(target)) return;
    told.add(target);
    process.emitWarning(errors.unheard(target, error));
  });
}

/** For each type of message, what the user gets of a handle. */
const receivers = {
  'net.Socket'(channel, { key }, handle, done) {
    const socket = heard(channel, new net.Socket({ handle, readable: true, writable: true }));
    if (key) socketList(channel, 'got', key).add({ socket });
    done(socket);
  },
  'net.Server'(channel, _message, handle, done) {
    const server = heard(channel, new net.Server());
    const onerror = () => done(undefined);
    server.once('error', onerror);
    server.once('listening', () => {
      server.removeListener('error', onerror);
      done(server);
    });
    // Not listen(handle): of a Unix socket that makes listen({ fd }), which in a worker means the primary's.
    server._handle = handle;
    server._listen2(null, -1, -1);
  },
  'net.Native': (_channel, _message, handle, done) => done(handle),
  'dgram.Socket'(channel, { dgramType }, handle, done) {
    const socket = heard(channel, new (loadDgram().Socket)(dgramType));
    socket.bind(handle, () => done(socket));
  },
  'dgram.Native': (_channel, _message, handle, done) => done(handle),
};

/**
 * Makes what the user gets of a received descriptor.
 * @param {(handle: unknown) => void} done called with it; with undefined if the descriptor is not what the
 *   message says
 */
function receive(channel, message, fd, done) {
  const kind = native.descriptorKind(fd);
  const type = typeof message?.type === 'string' ? message.type : '';
  const receiver = Object.hasOwn(receivers, type) ? receivers[type] : undefined;
  const udp = kind === 'udp';
  const fits = kind && receiver && type.startsWith('dgram') === udp;
  if (!fits || (type === 'dgram.Socket' && !['udp4', 'udp6'].includes(message.dgramType))) {
    native.close(fd);
    done(undefined);
    return;
  }
  receiver(channel, message, open(kind, fd), done);
}

module.exports = { open, send, receive };
