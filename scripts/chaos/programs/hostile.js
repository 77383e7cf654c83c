'use strict';

// What a hostile or broken worker does: it writes what it likes on the two descriptors that it shares with the
// primary, its channel and its handoff queue. It finds them as anyone would.

const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const { randomBytes } = require('node:crypto');
const { Worker } = require('node:worker_threads');
const native = require('../../../lib/native').load();

/** Frame kinds: see src/messages/frame.rs. */
const JSON_KIND = 1;
const ADVANCED = 2;
const CONTROL = 3;
const PARTS = 4;

const SEQPACKET = '0005';

const channel = process.channel.fd;
const handoff = findHandoff();

/** The one sequenced-packet socket of this process; undefined with Node's own cluster. */
function findHandoff() {
  const types = new Map(
    fs
      .readFileSync('/proc/self/net/unix', 'latin1')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .map(([, , , , type, , inode]) => [`socket:[${inode}]`, type]),
  );
  return fs
    .readdirSync('/proc/self/fd')
    .map(Number)
    .find(fd => types.get(link(fd)) === SEQPACKET);
}

function link(fd) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** What the primary takes for a message; Node's own ends each with its line. */
function frame(kind, payload, { length = payload.length, descriptor = 0 } = {}) {
  if (process.env.CLUSTER === 'node') return Buffer.concat([Buffer.from(payload), Buffer.from('\n')]);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(length);
  header[4] = kind;
  header[5] = descriptor;
  return Buffer.concat([header, Buffer.from(payload)]);
}

const json = (value, options) => frame(JSON_KIND, JSON.stringify(value), options);

/** A message with one string beside its text: see src/messages/parts.rs. */
function parts(string, text) {
  const table = Buffer.alloc(8);
  table.writeUInt32LE(1);
  table.writeUInt32LE(string.length, 4);
  return Buffer.concat([table, Buffer.from(string + text)]);
}

/** The same with a string in the ring: see src/messages/ring.rs. */
function mark(start, length) {
  const numbers = Buffer.alloc(12);
  [1, (length | 0x40000000) >>> 0, start].forEach(
    (number, index) => void numbers.writeUInt32LE(number, 4 * index),
  );
  return Buffer.concat([numbers, Buffer.from('[0,[[]]]')]);
}

/** Where the memory lies that it shares with the primary; undefined with Node's own cluster, which shares none. */
function sharedMemory() {
  const maps = fs.readFileSync('/proc/self/maps', 'latin1').split('\n');
  const [range] = maps.find(line => line.includes('memfd:rust-cluster-board'))?.split(' ') ?? [];
  return range?.split('-').map(address => Number.parseInt(address, 16));
}

/** Writes anywhere in that memory, while it sends and is sent long strings. */
function changesMemory() {
  const range = sharedMemory();
  if (!range) return;
  const [start, end] = range;
  const memory = fs.openSync('/proc/self/mem', 'r+');
  const change = (from, to, most) => {
    const place = from + Math.floor(Math.random() * (to - from));
    const length = Math.min(to - place, 1 + Math.floor(Math.random() * most));
    fs.writeSync(memory, randomBytes(length), 0, length, place);
  };
  const until = Date.now() + 1000;
  (function again() {
    for (let i = 0; i < 20; i++) {
      process.send({ hello: 'x'.repeat(5000 + i * 1000), there: '\u20ac'.repeat(5000) });
      change(start + 4096, end, 20_000);
      // What the receivers say.
      if (i % 4 === 0) change(start + 2048, start + 2176, 16);
    }
    // No flood: it is looked at what the primary uses, too.
    if (Date.now() < until) setTimeout(again, 10);
  })();
}

/**
 * Rewrites what lies in that memory as fast as a thread can that does nothing else, near the start of either ring, where
 * strings mostly lie; in the end also what the receivers say. Runs in that thread.
 */
function rewrite({ start, seconds }) {
  const fs = require('node:fs');
  const { randomBytes } = require('node:crypto');
  const RING = 4 * 1024 * 1024;
  const memory = fs.openSync('/proc/self/mem', 'r+');
  const bytes = randomBytes(4096);
  const begin = Date.now();
  for (let elapsed = 0; elapsed < seconds; elapsed = (Date.now() - begin) / 1000) {
    for (let i = 0; i < 1000; i++) {
      const ring = start + 4096 + (i % 2) * RING;
      fs.writeSync(memory, bytes, 0, 1 + (i % 4096), ring + Math.floor(Math.random() ** 4 * (RING - 4096)));
    }
    const place = start + 2048 + Math.floor(Math.random() * 128);
    if (elapsed > seconds * 0.8) fs.writeSync(memory, bytes, Math.floor(Math.random() * 4000), 4, place);
  }
}

/** The same from the thread that sends, for SECONDS. */
function rewritesMemory() {
  const [start] = sharedMemory();
  const workerData = { start, seconds: Number(process.env.SECONDS) };
  const code = `(${rewrite})(require('node:worker_threads').workerData)`;
  const thread = new Worker(code, { eval: true, workerData, execArgv: [], env: {} });
  let ended = false;
  thread.on('exit', code => {
    ended = true;
    // Not all who use this file have a test to tell it to.
    require('./tether').say('rewritten', { code });
  });
  (function again() {
    for (let i = 0; i < 20; i++)
      process.send({ hello: 'x'.repeat(5000 + i * 5000), there: '\u20ac'.repeat(5000) });
    if (!ended) setTimeout(again, 5);
  })();
}

const write = (fd, bytes) => fs.writeSync(fd, bytes);

/** Node's handle over a descriptor: it can send other handles, and shut down. */
function pipeOver(fd) {
  const { Pipe, constants } = process.binding('pipe_wrap');
  const pipe = new Pipe(constants.IPC);
  const errno = pipe.open(native.duplicate(fd));
  if (errno) throw new Error(`the descriptor cannot be opened: ${errno}`);
  return pipe;
}

/** The handle of a Unix socket. */
function unixSocket() {
  const { Pipe, constants } = process.binding('pipe_wrap');
  const handle = new Pipe(constants.SOCKET);
  handle.open(native.openSocket('pipe'));
  return handle;
}

/** Sends bytes, each time with a descriptor. */
function sendWith(pipe, bytes, count = 1, handle = unixSocket()) {
  const { WriteWrap } = process.binding('stream_wrap');
  for (let i = 0; i < count; i++) {
    const request = new WriteWrap();
    request.oncomplete = () => {};
    const errno = pipe.writeLatin1String(request, bytes.toString('latin1'), handle);
    if (errno) throw new Error(`nothing was sent: ${errno}`);
  }
}

function shutdown(fd) {
  const { ShutdownWrap } = process.binding('stream_wrap');
  const request = new ShutdownWrap();
  request.oncomplete = () => {};
  pipeOver(fd).shutdown(request);
}

const strange = [
  null,
  42,
  'text',
  [],
  { act: 'constructor' },
  { act: '__proto__' },
  { act: { toString: 1 } },
  { act: 'queryServer' },
  { act: 'queryServer', seq: 5, address: { toString: 1 }, port: { toString: 1 }, addressType: 4, index: 0 },
  { act: 'queryServer', seq: {}, address: {}, port: -1, addressType: 4, fd: 2 ** 40, index: 'x' },
  { act: 'queryServer', seq: 1, address: 'x'.repeat(5000), port: -1, addressType: -1, index: 0 },
  { act: 'queryServer', seq: 2, address: '\0', port: 1e9, addressType: 99, flags: -1, index: {} },
  { act: 'queryServer', seq: 3, address: null, port: 0, addressType: 'udp9', fd: -7, backlog: -1 },
  { act: 'queryServer', seq: 4, address: '127.0.0.1', port: 0, addressType: 4, fd: 999 },
  { act: 'listening', addressType: {}, address: [], port: 'x' },
  { act: 'close', key: {} },
  { act: 'close' },
  { ack: 1 },
  { ack: {} },
  { act: 'exitedAfterDisconnect', seq: null },
];

/** What a worker says of a listener: see src/connections/handoff.rs. The highest bit: it has room again. */
function packet(listener) {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt32LE(listener);
  return bytes;
}

const ROOM = 0x80000000;

/** Gives back a connection that came to another address, once it has been handed one by then. */
async function foreignConnection() {
  await new Promise(resolve => setTimeout(resolve, 400));
  const server = net.createServer(socket => sendWith(pipeOver(handoff), packet(1), 1, socket._handle));
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
    net.connect(server.address().port, '127.0.0.1').on('error', () => {});
  });
}

/** Asks the primary to listen on, or to read from, its own descriptor of each number. */
function nameDescriptors() {
  for (let fd = 0; fd < 100; fd++) {
    // Two servers of a worker are two questions.
    for (let i = 0; i < 2; i++) {
      const server = net.createServer().on('error', () => {});
      server.listen({ fd }, () => server.close());
      const socket = dgram.createSocket('udp4').on('error', () => {});
      socket.bind({ fd }, () => socket.close());
    }
  }
}

/** Sends sockets that are reset when they arrive. */
function resetSockets() {
  const clients = [];
  const server = net.createServer(socket => {
    process.send({ tell: 'nothing' }, socket);
    if (clients.length === 0) server.close();
    // What was sent arrives before it is reset: the primary reads by then.
    setTimeout(() => clients.pop().resetAndDestroy(), 50);
  });
  server.listen(0, '127.0.0.1', () => {
    for (let i = 0; i < 10; i++) clients.push(net.connect(server.address().port, '127.0.0.1'));
  });
}

module.exports = {
  nameDescriptors,
  resetSockets,

  // On the channel.
  bytesOnChannel: bytes => write(channel, bytes),
  largeFrame: () => write(channel, frame(JSON_KIND, 'x', { length: 0xffffffff })),
  unfinishedFrame: () => write(channel, frame(JSON_KIND, 'x', { length: 100_000 })),
  unfinishedHeader: () => write(channel, Buffer.from([1, 0])),
  unknownKind: () => write(channel, frame(77, '{}')),
  noJson: () => write(channel, frame(JSON_KIND, '{"a":')),
  twoInOne: () => write(channel, frame(JSON_KIND, '1,2')),
  noUtf8: () => write(channel, frame(JSON_KIND, Buffer.from([0x22, 0xff, 0xfe, 0xc0, 0x22]))),
  empty: () => write(channel, frame(JSON_KIND, '')),
  noAdvanced: () => write(channel, frame(ADVANCED, Buffer.from([0xff, 0x0f, 0x41, 0xff, 0xff, 0xff, 0xff]))),
  badParts: () => write(channel, frame(PARTS, Buffer.alloc(64, 0xff))),
  outsideRing: () => write(channel, frame(PARTS, mark(4 * 1024 * 1024 - 64, 65))),
  moreThanRing: () => write(channel, frame(PARTS, mark(0, 4 * 1024 * 1024 + 1))),
  // Each names what it likes, whether there is a string or not, and counts as taken.
  manyMarks() {
    for (let i = 0; i < 100; i++) write(channel, frame(PARTS, mark(64 * i * i, 40_000)));
  },
  // Gigabytes, in less than a socket holds.
  endlessMarks: () =>
    write(channel, Buffer.concat(new Array(2000).fill(frame(PARTS, mark(0, 4 * 1024 * 1024))))),
  changesMemory,
  rewritesMemory,
  misplacedString: () => write(channel, frame(PARTS, parts('x', '[{},[["__proto__","polluted"]]]'))),
  noControl: () => write(channel, frame(CONTROL, 'act')),
  strangeControl: () => strange.forEach(value => void write(channel, frame(CONTROL, JSON.stringify(value)))),
  strangeControlWithDescriptors() {
    const pipe = pipeOver(channel);
    for (const value of strange) sendWith(pipe, frame(CONTROL, JSON.stringify(value), { descriptor: 1 }));
  },
  strangeInternal() {
    for (const cmd of [
      'NODE_HANDLE',
      'NODE_HANDLE_ACK',
      'NODE_SOCKET_GET_COUNT',
      'NODE_CLUSTER',
      'NODE_DEBUG_ENABLED',
    ])
      write(channel, json({ cmd, key: {}, type: 'net.Server', act: 'close' }));
  },
  missingDescriptor: () =>
    write(channel, json({ cmd: 'NODE_HANDLE', type: 'net.Socket' }, { descriptor: 1 })),
  strayDescriptor: () => sendWith(pipeOver(channel), json({ hello: 1 })),
  manyDescriptors: () => sendWith(pipeOver(channel), Buffer.from([1]), 40),
  strangeHandles() {
    const pipe = pipeOver(channel);
    for (const type of [
      'net.Socket',
      'net.Server',
      'net.Native',
      'dgram.Socket',
      'dgram.Native',
      'toString',
      7,
      { toString: 1 },
    ])
      sendWith(pipe, json({ cmd: 'NODE_HANDLE', type, key: {}, dgramType: 'x' }, { descriptor: 1 }));
  },
  shutChannel: () => shutdown(channel),

  // On the handoff queue.
  bytesOnHandoff: bytes => write(handoff, bytes),
  shortPacket: () => write(handoff, Buffer.from([1, 0, 0])),
  longPacket: () => write(handoff, Buffer.alloc(60_000, 1)),
  bareReturn: () => write(handoff, packet(1)),
  // Of listeners that it never refused, and that there are not.
  inventedRoom: () =>
    [1, 2, 0, 0x7fffffff].forEach(listener => void write(handoff, packet((ROOM | listener) >>> 0))),
  roomWithDescriptor: () => sendWith(pipeOver(handoff), packet((ROOM | 1) >>> 0)),
  // More than it can have been handed.
  inventedConnection: () => sendWith(pipeOver(handoff), packet(1), 500),
  foreignConnection,
  inventedProbe: () => sendWith(pipeOver(handoff), packet(0)),
  strangeListener: () => sendWith(pipeOver(handoff), packet(0x7fffffff), 500),
  shutHandoff: () => shutdown(handoff),
};
