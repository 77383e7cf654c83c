'use strict';

// What a member of the bus and the hub say to each other, as bytes: the other half of src/bus/protocol.rs.

const errors = require('../errors');

/** Has to be the primary's: a worker may have been started by an older release. */
const PROTOCOL = 2;

/** Bytes of a name, as UTF-8. */
const LONGEST_NAME = 1024;

/** Bytes of what is sent at once. */
const LONGEST_DATA = 16 * 1024 * 1024;

/** UTF-16 units of a JSON text that the hub is to look at; a longer one is bytes. */
const LONGEST_TEXT = 16 * 1024;

/** The place of the primary. */
const PRIMARY = 0xffff_ffff;

/** The place of a bridge, by which other machines say what they say. */
const BRIDGE = 0xffff_fffe;

const commands = {
  subscribe: 1,
  unsubscribe: 2,
  publish: 3,
  serve: 4,
  retire: 5,
  ask: 6,
  forget: 7,
  answer: 8,
  lock: 9,
  unlock: 10,
  locks: 11,
  get: 12,
  set: 13,
  increment: 14,
  delete: 15,
  sync: 16,
  count: 17,
  watch: 18,
  relay: 19,
  lost: 20,
};

/** Whom a request is for, and how a lock is asked for. */
const TO = { any: 0, all: 1, place: 2 };
const WISH = { exclusive: 0, shared: 1, exclusiveIfAvailable: 2, sharedIfAvailable: 3, steal: 4 };

const NOTHING = Buffer.alloc(0);

/** @param {string} name that `nameOf` has let through */
function encode(op, numbers, name, data = NOTHING) {
  const length = name === undefined ? 0 : 2 + Buffer.byteLength(name);
  const bytes = Buffer.allocUnsafe(1 + numbers.length + length + data.length);
  bytes[0] = op;
  bytes.set(numbers, 1);
  let end = 1 + numbers.length;
  if (name !== undefined) {
    bytes.writeUInt16LE(length - 2, end);
    bytes.utf8Write(name, end + 2);
    end += length;
  }
  bytes.set(data, end);
  return bytes;
}

/** Numbers, one after the other: 1, 4 or 8 bytes each. */
function numbers(...parts) {
  const bytes = Buffer.allocUnsafe(parts.reduce((sum, [size]) => sum + size, 0));
  let end = 0;
  for (const [size, value] of parts) {
    if (size === 8) bytes.writeBigInt64LE(BigInt(value), end);
    else bytes.writeUIntLE(value, end, size);
    end += size;
  }
  return bytes;
}

const u8 = value => [1, value];
const u32 = value => [4, value];
const i64 = value => [8, value];

/** What can be said, as bytes. */
const say = {
  subscribe: (id, topic) => encode(commands.subscribe, numbers(u32(id)), topic),
  unsubscribe: topic => encode(commands.unsubscribe, NOTHING, topic),
  publish: (topic, data) => encode(commands.publish, NOTHING, topic, data),
  serve: (id, topic) => encode(commands.serve, numbers(u32(id)), topic),
  retire: topic => encode(commands.retire, NOTHING, topic),
  ask: (id, to, place, topic, data) =>
    encode(commands.ask, numbers(u32(id), u8(to), u32(place)), topic, data),
  forget: id => encode(commands.forget, numbers(u32(id))),
  answer: (token, ok, data) => encode(commands.answer, numbers(i64(token), u8(Number(ok))), undefined, data),
  lock: (id, wish, name) => encode(commands.lock, numbers(u32(id), u8(wish)), name),
  unlock: id => encode(commands.unlock, numbers(u32(id))),
  locks: id => encode(commands.locks, numbers(u32(id))),
  get: (id, key) => encode(commands.get, numbers(u32(id)), key),
  set: (id, ttl, key, data) => encode(commands.set, numbers(u32(id), i64(ttl)), key, data),
  increment: (id, by, ttl, key) => encode(commands.increment, numbers(u32(id), i64(by), i64(ttl)), key),
  delete: (id, key) => encode(commands.delete, numbers(u32(id)), key),
  sync: id => encode(commands.sync, numbers(u32(id))),
  count: (id, count, ttl, key) => encode(commands.count, numbers(u32(id), i64(count), i64(ttl)), key),
  watch: () => encode(commands.watch, NOTHING),
  relay: (count, topic, data) => encode(commands.relay, numbers(u32(count)), topic, data),
  lost: (count, topic) => encode(commands.lost, numbers(i64(count)), topic),
};

/** The same as JSON: `topic` and `value` are JSON already. */
const sayJson = {
  publish: (topic, value) => `[${topic},${value}]`,
  ask: (id, to, place, topic, value) => `[${id},${to},${place},${topic},${value}]`,
  answer: (token, value) => `[${token},true,${value}]`,
};

/** A topic as JSON; undefined if that has another way to write it, which the hub would not know. */
function topicAsJson(topic) {
  const json = JSON.stringify(topic);
  return json === `"${topic}"` ? json : undefined;
}

/** Reads one after the other. */
class Reader {
  #bytes;
  #place;
  #end;

  begin(bytes, start, end) {
    this.#bytes = bytes;
    this.#place = start;
    this.#end = end;
  }

  u8() {
    return this.#bytes[this.#place++];
  }

  u32() {
    const number = this.#bytes.readUInt32LE(this.#place);
    this.#place += 4;
    return number;
  }

  u64() {
    const number = this.#bytes.readBigUInt64LE(this.#place);
    this.#place += 8;
    return number;
  }

  i64() {
    return BigInt.asIntN(64, this.u64());
  }

  name() {
    const length = this.#bytes.readUInt16LE(this.#place);
    const start = this.#place + 2;
    this.#place = start + length;
    return this.#bytes.utf8Slice(start, this.#place);
  }

  /** The rest, in memory that is used again. */
  data() {
    return this.#bytes.subarray(this.#place, this.#end);
  }

  get more() {
    return this.#place < this.#end;
  }
}

function placeOf(place) {
  if (place === PRIMARY) return 'primary';
  return place === BRIDGE ? 'bridge' : place;
}

const VALUES = { nothing: 0, data: 1, counter: 2 };

function readRows(reader) {
  const rows = [];
  while (reader.more)
    rows.push({
      held: reader.u8() === 1,
      mode: reader.u8() === 1 ? 'shared' : 'exclusive',
      from: placeOf(reader.u32()),
      name: reader.name(),
    });
  return rows;
}

function readKept(reader) {
  const kept = { id: reader.u32(), left: Number(reader.u64()) };
  switch (reader.u8()) {
    case VALUES.data:
      return { ...kept, data: reader.data() };
    case VALUES.counter:
      return { ...kept, counter: reader.i64() };
    default:
      return kept;
  }
}

/** What can become of a request. */
const OUTCOMES = ['rejected', 'fulfilled', 'nobody', 'gone', 'full'];

/** What the hub tells, by its first byte. */
const notices = {
  1: r => ({ is: 'published', from: placeOf(r.u32()), topic: r.name(), data: r.data() }),
  2: r => ({ is: 'missed', count: Number(r.u64()), topic: r.name() }),
  3: r => ({ is: 'asked', token: Number(r.u64()), from: placeOf(r.u32()), topic: r.name(), data: r.data() }),
  4: r => ({ is: 'forgotten', token: Number(r.u64()) }),
  5: r => ({
    is: 'answered',
    id: r.u32(),
    from: placeOf(r.u32()),
    how: OUTCOMES[r.u8()],
    last: r.u8() === 1,
    data: r.data(),
  }),
  6: r => ({ is: 'granted', id: r.u32() }),
  7: r => ({ is: 'unavailable', id: r.u32() }),
  8: r => ({ is: 'stolen', id: r.u32() }),
  9: r => ({ is: 'locks', id: r.u32(), rows: readRows(r) }),
  10: r => ({ is: 'kept', ...readKept(r) }),
  11: r => ({ is: 'synced', id: r.u32() }),
  12: r => ({
    is: 'refused',
    id: r.u32(),
    why: ['', 'too many', 'no counter', 'overflow', 'too large', 'names too long'][r.u8()],
  }),
  13: r => ({ is: 'wanted', wanted: r.u8() === 1, topic: r.name() }),
  14: () => ({ is: 'astray' }),
};

const reader = new Reader();

/** The notice that lies there. The bytes are used again, and so is its data. */
function read(bytes, start, end) {
  reader.begin(bytes, start, end);
  return notices[reader.u8()](reader);
}

/** The same, of what was posted, asked or answered as JSON: how many there are tells which. */
function readJson(told) {
  switch (told.length) {
    case 3:
      return { is: 'posted', from: placeOf(told[0]), topic: told[1], value: told[2] };
    case 4:
      return { is: 'asked', token: told[0], from: placeOf(told[1]), topic: told[2], value: told[3] };
    default: {
      const [id, from, ok, last, value] = told;
      return { is: 'answered', id, from: placeOf(from), how: OUTCOMES[ok], last: last === 1, value };
    }
  }
}

/**
 * @param {'channel' | 'lock' | 'key'} what it is the name of
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
function checkName(what, name) {
  if (typeof name !== 'string') throw errors.badBusName(what, name);
  // Three bytes a unit at most.
  if (name.length * 3 > LONGEST_NAME && Buffer.byteLength(name) > LONGEST_NAME)
    throw errors.longBusName(what, name, LONGEST_NAME);
  return name;
}

module.exports = {
  BRIDGE,
  LONGEST_DATA,
  LONGEST_TEXT,
  PRIMARY,
  PROTOCOL,
  TO,
  WISH,
  checkName,
  read,
  readJson,
  say,
  sayJson,
  topicAsJson,
};
