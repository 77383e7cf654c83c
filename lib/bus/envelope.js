'use strict';

// What one machine tells the others of a channel, as bytes: messages of one or more members, in their order.
//
//   magic u32 | flags u8 | session u64 | epoch u32 | number u64 | count u32 | machine: u8, so many | messages ...
//   a message: length u32 | place u32 | so many bytes, as lib/bus/clone.js writes them
//
// All is little endian. The session is of one bridge, from its beginning to its end. Messages are numbered by channel; where
// a bridge no longer knows a number, it begins anew in a later epoch. Whoever reads this trusts no length in it.
//
// Where the flags say that each message belongs to a trace, `traceparent` is behind each value; who does not know that flag
// reads the value, which ends before it.

const { PRIMARY } = require('./protocol');

/** "rcb", and the version of all this. */
const MAGIC = Buffer.from('rcb\x01', 'latin1');

/** Bytes before the machine's name, and before each message. */
const HEAD = 30;
const MESSAGE = 8;

/** Of the flags: before these messages others were lost, nobody knows how many. */
const UNKNOWN_LOSS = 1;
/** Each of them is a value of V8's with the trace behind it that it belongs to. */
const WITH_TRACES = 2;

/** Bytes of a machine's name. */
const LONGEST_MACHINE = 255;

/** The first bytes of a value: JSON, or what V8 has written, with its version. See ./clone. */
const JSON_TEXT = 1;
const V8 = 2;
const TRACED = 3;
const V8_HEADER = 0xff;

/** Writes the envelopes of one session. */
class Writer {
  #head;

  /**
   * @param {Buffer} session 8 bytes
   * @param {string} machine
   */
  constructor(session, machine) {
    const name = Buffer.from(machine);
    this.#head = Buffer.alloc(HEAD + name.length);
    MAGIC.copy(this.#head);
    session.copy(this.#head, 5);
    this.#head[HEAD - 1] = name.length;
    name.copy(this.#head, HEAD);
  }

  /** Bytes of an envelope of messages that have so many, with what is before each of them. */
  size(bytes) {
    return this.#head.length + bytes;
  }

  /**
   * @param {{ epoch?: number, number: number, count: number, unknownLoss?: boolean, traced?: boolean }} about
   * @param {Buffer[]} messages of `message`
   */
  envelope({ epoch = 0, number, count, unknownLoss = false, traced = false }, messages) {
    const bytes = Buffer.concat([this.#head, ...messages]);
    bytes[4] = (unknownLoss ? UNKNOWN_LOSS : 0) | (traced ? WITH_TRACES : 0);
    bytes.writeUInt32LE(epoch, 13);
    bytes.writeBigUInt64LE(BigInt(number), 17);
    bytes.writeUInt32LE(count, 25);
    return bytes;
  }
}

const isTraced = data => data[0] === TRACED;

/** A message of a member: a copy of its bytes. */
function message(from, data) {
  const bytes = Buffer.allocUnsafe(MESSAGE + data.length);
  bytes.writeUInt32LE(data.length, 0);
  bytes.writeUInt32LE(from === 'primary' ? PRIMARY : from, 4);
  bytes.set(data, MESSAGE);
  if (isTraced(data)) bytes[MESSAGE] = V8;
  return bytes;
}

/**
 * What somebody has put there.
 * @param {Buffer} bytes
 * @param {number} v8 the latest version of V8's format that is read here
 * @returns what it says; or `wrong`: why it is refused, and `count`, of how many messages it seems to be
 */
function read(bytes, v8) {
  if (bytes.length < HEAD || bytes.compare(MAGIC, 0, 3, 0, 3) !== 0) return { wrong: 'garbage' };
  if (bytes[3] !== MAGIC[3]) return { wrong: 'version', theirs: bytes[3] };
  const start = HEAD + bytes[HEAD - 1];
  if (start > bytes.length || start === HEAD) return { wrong: 'garbage' };
  const number = bytes.readBigUInt64LE(17);
  const found = {
    session: bytes.latin1Slice(5, 13),
    epoch: bytes.readUInt32LE(13),
    number: Number(number),
    count: bytes.readUInt32LE(25),
    unknownLoss: (bytes[4] & UNKNOWN_LOSS) !== 0,
    traced: (bytes[4] & WITH_TRACES) !== 0,
    machine: bytes.utf8Slice(HEAD, start),
    start,
    /** Where each message begins; and where the last ends. */
    starts: [],
  };
  // Each message takes some bytes: so a count that is too large is found before it costs anything.
  if (found.count > (bytes.length - start) / MESSAGE || number > Number.MAX_SAFE_INTEGER - found.count)
    return { wrong: 'garbage' };
  return messagesOf(bytes, start, found, v8);
}

function messagesOf(bytes, start, found, v8) {
  let place = start;
  for (let i = 0; i < found.count; i++) {
    if (bytes.length - place < MESSAGE) return { wrong: 'garbage' };
    const [from, end] = [place + MESSAGE, place + MESSAGE + bytes.readUInt32LE(place)];
    if (end > bytes.length) return { wrong: 'garbage' };
    const newer = bytes[from] === V8 && bytes[from + 1] === V8_HEADER && bytes[from + 2] > v8;
    if (newer && from + 2 < end) return { wrong: 'V8', theirs: bytes[from + 2], ...found };
    if (from === end || (bytes[from] !== JSON_TEXT && bytes[from] !== V8)) return { wrong: 'garbage' };
    found.starts.push(place);
    place = end;
  }
  if (place !== bytes.length) return { wrong: 'garbage' };
  found.starts.push(place);
  return found;
}

/** Whether they are of this session. */
const isOf = (session, bytes) => bytes.length >= HEAD && session.compare(bytes, 5, 13) === 0;

/** The messages but for so many of the first, for the members of this machine: the machine, its length before it; and they. */
function relayed(found, { start, starts, traced }, first) {
  const bytes = traced ? withTraces(found, starts) : found;
  if (first === 0) return bytes.subarray(HEAD - 1);
  return Buffer.concat([bytes.subarray(HEAD - 1, start), bytes.subarray(starts[first])]);
}

/** A copy in which each value says that it belongs to a trace. */
function withTraces(found, starts) {
  const bytes = Buffer.from(found);
  for (const place of starts.slice(0, -1)) if (bytes[place + MESSAGE] === V8) bytes[place + MESSAGE] = TRACED;
  return bytes;
}

/** What members are told: who says something, and its bytes. */
function* brought(data) {
  let place = 1 + data[0];
  const machine = data.utf8Slice(1, place);
  while (place < data.length) {
    const start = place + MESSAGE;
    const [length, slot] = [data.readUInt32LE(place), data.readUInt32LE(place + 4)];
    place = start + length;
    yield {
      from: { machine, slot: slot === PRIMARY ? 'primary' : slot },
      bytes: data.subarray(start, place),
    };
  }
}

module.exports = { LONGEST_MACHINE, Writer, brought, isOf, isTraced, message, read, relayed };
