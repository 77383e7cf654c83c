'use strict';

// A bridge over brokers that do what they like: they lose, repeat, mix, make up and refuse. This process is the machine.

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { deserialize, serialize } = require('node:v8');
const { run } = require('../support/program');
const { facts } = require('../support/run-case');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has no bus";
const { BroadcastChannel, bridge, leader, locks, store } = skip ? {} : require('rust-cluster/bus');
const { Writer, brought, message, read, relayed } = require('../../lib/bus/envelope');

/** A broker that keeps what it is told, and says what it is made to say. */
class Fake extends EventEmitter {
  connected = true;
  limit = 1 << 20;
  sent = [];
  subscribed = new Map();
  log = [];

  publish(subject, bytes) {
    this.sent.push({ subject, ...read(bytes, 15), bytes });
    this.emit('sent');
    return this.answer?.();
  }

  subscribe(subject, heard) {
    this.log.push(`+${subject}`);
    this.subscribed.set(subject, heard);
    this.emit('subscription');
  }

  unsubscribe(subject) {
    this.log.push(`-${subject}`);
    this.subscribed.delete(subject);
    this.emit('subscription');
  }

  close() {
    this.log.push('closed');
  }

  /** @param {number} count of messages, empty envelopes included */
  async until(count) {
    while (this.sent.reduce((sum, { count }) => sum + count, 0) < count) await once(this, 'sent');
  }

  /** Until others know that so many were posted. */
  async untilNumber(number) {
    const last = () => this.sent.at(-1);
    while (this.sent.length === 0 || last().number + last().count < number) await once(this, 'sent');
  }

  drop() {
    this.connected = false;
    this.emit('disconnected');
  }

  comeBack() {
    this.connected = true;
    this.emit('connected');
  }
}

/** A bridge and a channel, and all that happens to them; it ends with the test. */
async function machine(t, options) {
  const fake = new Fake();
  const joined = bridge(fake, { prefix: 'app', machine: 'here', channels: ['chat'], ...options });
  const errors = [];
  const gaps = [];
  joined.on('error', error => errors.push([error.code, error.messages]));
  joined.on('gap', gap => gaps.push(gap));
  t.after(() => joined.close());
  return { fake, joined, errors, gaps, heard: await listen(t, 'chat', joined), say: sayAs(fake) };
}

/** What arrives on a channel, once the broker knows of it: data, and 'gap' with a number. */
async function listen(t, name, joined) {
  const heard = await listenTo(t, name);
  await joined.ready();
  return heard;
}

async function listenTo(t, name) {
  const channel = new BroadcastChannel(name);
  const all = new EventEmitter();
  const heard = Object.assign([], {
    channel,
    async until(count) {
      while (heard.length < count) await once(all, 'more');
      return heard.splice(0);
    },
  });
  const add = what => {
    heard.push(what);
    all.emit('more');
  };
  channel.onmessage = ({ data, from, traceparent }) =>
    add([
      data,
      from.machine ? `${from.machine} ${from.slot}` : from,
      ...(traceparent === undefined ? [] : [traceparent]),
    ]);
  channel.onmessageerror = ({ data }) => add(['no value', data.name]);
  channel.ongap = ({ missed }) => add(['gap', missed]);
  t.after(() => channel.close());
  await channel.ready();
  return heard;
}

const json = value => Buffer.from(`\u0001${JSON.stringify(value)}`);
const cloned = value => Buffer.concat([Buffer.from([2]), serialize(value)]);

/** Another machine, which numbers what it says as it likes. */
function sayAs(fake, session = 'afarafar', name = 'there') {
  const writer = new Writer(Buffer.from(session), name);
  return (
    number,
    values,
    { epoch = 0, unknownLoss = false, traced = false, to = 'app.chat', change = bytes => bytes } = {},
  ) => {
    const parts = values.map(value => message(3, Buffer.isBuffer(value) ? value : json(value)));
    fake.subscribed.get(to)(
      change(writer.envelope({ epoch, number, count: parts.length, unknownLoss, traced }, parts)),
    );
  };
}

const from = (...values) => values.map(value => [value, 'there 3']);
const messagesOf = found => [...brought(relayed(found.bytes, found, 0))];
const contents = found => messagesOf(found).map(({ bytes }) => JSON.parse(bytes.utf8Slice(1)));

test('what is posted is told to the broker, with who has posted it, and numbers', { skip }, async t => {
  const { fake, joined, heard } = await machine(t);
  heard.channel.postMessage('one');
  heard.channel.postMessage({ two: 2 });
  await fake.until(2);
  heard.channel.postMessage('three');
  await fake.until(3);
  const told = fake.sent.flatMap(it => contents(it).map((value, i) => [it.subject, it.number + i, value]));
  assert.deepEqual(told, [
    ['app.chat', 0, 'one'],
    ['app.chat', 1, { two: 2 }],
    ['app.chat', 2, 'three'],
  ]);
  assert.deepEqual(messagesOf(fake.sent[0])[0].from, { machine: 'here', slot: 'primary' });
  const { sent, waiting } = joined.figures();
  assert.deepEqual({ sent, waiting }, { sent: 3, waiting: 0 });
});

test('what comes back is no echo, and what others say has their names', { skip }, async t => {
  const { fake, heard, say } = await machine(t);
  heard.channel.postMessage('mine');
  await fake.until(1);
  fake.subscribed.get('app.chat')(fake.sent[0].bytes);
  say(0, ['theirs', 'too']);
  assert.deepEqual(await heard.until(2), from('theirs', 'too'));
});

test('what comes twice, late or with holes is told of as it is', { skip }, async t => {
  const { fake, joined, heard, say, gaps } = await machine(t);
  say(7, ['a', 'b']);
  say(7, ['a', 'b']);
  say(8, ['b', 'c', 'd']);
  say(14, ['h']);
  say(11, ['e', 'f']);
  say(15, []);
  say(17, []);
  say(17, ['i'], { unknownLoss: true });
  say(0, ['j'], { epoch: 1 });
  say(18, ['old'], { epoch: 0 });
  say(1, [cloned(new Map([[1, 2]]))], { epoch: 1 });
  sayAs(fake, 'anotherx')(500, ['other session']);
  const expected = [
    ...from('a', 'b', 'c', 'd'),
    ['gap', 3],
    ...from('h'),
    ['gap', 2],
    ['gap', undefined],
    ...from('i'),
    ['gap', undefined],
    ...from('j', new Map([[1, 2]]), 'other session'),
  ];
  assert.deepEqual(await heard.until(expected.length), expected);
  assert.deepEqual(
    gaps.map(({ channel, machine, missed }) => [channel, machine, missed]),
    [3, 2, undefined, undefined].map(missed => ['chat', 'there', missed]),
  );
  const { received, missed, repeated } = joined.figures();
  assert.deepEqual({ received, missed, repeated }, { received: 9, missed: 5, repeated: 6 });
});

test('whoever was forgotten begins anew, in an epoch that is later though its number is small', {
  skip,
}, async t => {
  const { heard, say } = await machine(t);
  say(5, ['a'], { epoch: 0xffff_fffe });
  say(0, ['b'], { epoch: 0xffff_ffff });
  say(0, ['c'], { epoch: 0 });
  say(1, ['late'], { epoch: 0xffff_ffff });
  say(1, ['d'], { epoch: 0 });
  say(5, ['e'], { epoch: 0, unknownLoss: true });
  const gap = ['gap', undefined];
  const expected = [...from('a'), gap, ...from('b'), gap, ...from('c', 'd'), gap, ...from('e')];
  assert.deepEqual(await heard.until(expected.length), expected);
});

test('of more channels than are remembered the numbers begin anew', { skip }, async t => {
  const { fake, heard } = await machine(t, { channels: undefined });
  heard.channel.postMessage('first');
  await fake.until(1);
  // A channel for each, as some programs have it.
  for (let n = 0; n < 16_384; n++) {
    const channel = new BroadcastChannel(`one of many ${n}`);
    channel.postMessage(n);
    channel.close();
  }
  await fake.until(1 + 16_384);
  heard.channel.postMessage('again');
  await fake.until(2 + 16_384);
  const ofChat = fake.sent.filter(({ subject }) => subject === 'app.chat');
  assert.deepEqual(
    ofChat.map(({ number, count }) => [number, count]),
    [
      [0, 1],
      [0, 1],
    ],
  );
  assert.ok(ofChat[1].epoch > ofChat[0].epoch);
});

test('of many bridges the one that was silent for longest is forgotten', { skip }, async t => {
  const { fake, heard, say } = await machine(t);
  const others = count => {
    for (let n = 0; n < count; n++) sayAs(fake, `${count}${n}`.padStart(8))(0, []);
  };
  say(0, ['a']);
  others(4095);
  say(1, ['b']);
  others(4094);
  say(1, ['b', 'c']);
  assert.deepEqual(await heard.until(3), from('a', 'b', 'c'));
  others(4096);
  say(1, ['forgotten']);
  assert.deepEqual(await heard.until(1), from('forgotten'));
});

test('what no bridge has written is dropped, and counted', { skip }, async t => {
  const { fake, joined, heard, say, errors } = await machine(t);
  const raw = fake.subscribed.get('app.chat');
  const cut = by => ({ change: bytes => bytes.subarray(0, bytes.length - by) });
  const garbage = [
    () => raw(Buffer.alloc(0)),
    () => raw('text'),
    () => raw(undefined),
    () => raw(Buffer.from('rcb')),
    () => raw(Buffer.from('hello, this is no envelope, but a text of some bytes')),
    () => say(0, ['x'], cut(1)),
    () => say(0, ['x'], cut(5)),
    () => say(0, ['x', 'y'], cut(12)),
    () => say(0, ['x'], { change: bytes => Buffer.concat([bytes, Buffer.alloc(1)]) }),
    // Lengths, counts and numbers that are too large.
    () => say(0, ['x'], { change: bytes => bytes.fill(0xff, 25, 29) }),
    () => say(0, ['x'], { change: bytes => bytes.fill(0xff, 17, 25) }),
    () => say(0, ['x'], { change: bytes => bytes.fill(0xff, 29, 30) }),
    () => say(0, ['x'], { change: bytes => bytes.fill(0xff, 35, 39) }),
    () => say(0, [Buffer.alloc(0)]),
    () => say(0, [Buffer.from([9, 1, 1])]),
    // What only members of one machine say to each other.
    () => say(0, ['x'], { change: bytes => bytes.fill(3, bytes.indexOf('x') - 2, bytes.indexOf('x') - 1) }),
    () => raw(Buffer.alloc(17 << 20)),
  ];
  for (const act of garbage) act();
  // Bytes that begin as a value, and are none.
  say(0, [Buffer.from([1, 0x7b]), Buffer.from([2, 0xff, 15, 0x7f]), Buffer.from([2]), 'good']);
  assert.deepEqual(await heard.until(4), [
    ['no value', 'SyntaxError'],
    ['no value', 'Error'],
    ['no value', 'Error'],
    ...from('good'),
  ]);
  const code = 'ERR_RUST_CLUSTER_BRIDGE_GARBAGE';
  assert.deepEqual(joined.figures().dropped, { [code]: garbage.length });
  assert.deepEqual(errors[0], [code, 1]);
});

test('every byte of an envelope may be another: nothing throws', { skip }, async t => {
  const { fake, heard, say } = await machine(t);
  for (let place = 0; place < 60; place++)
    for (const value of [0, 1, 2, 0x7f, 0x80, 0xff])
      say(1, ['some', cloned({ more: [1, 2] })], {
        change(bytes) {
          if (place < bytes.length) bytes[place] = value;
          return bytes;
        },
      });
  sayAs(fake, 'lastlast')(1, ['end']);
  while (!(await heard.until(1)).some(([what]) => what === 'end'));
});

test('machines of other versions are told of, and the others go on', { skip }, async t => {
  const { joined, heard, say, errors } = await machine(t);
  say(0, ['x'], { change: bytes => Object.assign(bytes, { 3: 2 }) });
  const newer = cloned('x');
  newer[2] = 99;
  say(0, ['a']);
  say(1, [newer, 'b']);
  say(3, ['c']);
  assert.deepEqual(await heard.until(3), [...from('a'), ['gap', 2], ...from('c')]);
  const code = 'ERR_RUST_CLUSTER_BRIDGE_VERSION';
  assert.deepEqual(joined.figures().dropped, { [code]: 3 });
  assert.deepEqual(errors[0], [code, 1]);
});

test('the broker is asked for what is bridged, under names it can take, and told of nothing else', {
  skip,
}, async t => {
  const names = ['chat', 'a.b', '> *', '%', '', '\u00e4/b', 'a.b'];
  const { fake, joined } = await machine(t, { prefix: 'shop.v1', channels: names });
  const subjects = ['chat', 'a%2Eb', '%3E%20%2A', '%25', '%', '%C3%A4%2Fb'].map(name => `shop.v1.${name}`);
  assert.deepEqual([...fake.subscribed.keys()], subjects);
  const [secret, told] = ['secret', '\u00e4/b'].map(name => new BroadcastChannel(name));
  t.after(() => {
    for (const channel of [secret, told]) channel.close();
  });
  secret.postMessage('not told');
  told.postMessage('told');
  await fake.until(1);
  assert.deepEqual(
    fake.sent.map(({ subject }) => subject),
    ['shop.v1.%C3%A4%2Fb'],
  );
  await joined.close();
  assert.deepEqual(fake.log, [...subjects.map(subject => `+${subject}`), 'closed']);
});

test('without names all channels are bridged, and the broker is asked for those that somebody here listens to', {
  skip,
}, async t => {
  const { fake, joined, heard } = await machine(t, { channels: undefined });
  const names = ['a.b', '', '\u00e4'];
  const channels = names.map(name => new BroadcastChannel(name));
  const second = new BroadcastChannel('a.b');
  await second.ready();
  await joined.ready();
  const subjects = ['chat', 'a%2Eb', '%', '%C3%A4'].map(name => `app.${name}`);
  assert.deepEqual([...fake.subscribed.keys()], subjects);
  heard.channel.postMessage({ one: 1 });
  const nobodyListens = new BroadcastChannel('new');
  nobodyListens.postMessage(new Map());
  await fake.until(2);
  assert.deepEqual(
    fake.sent.map(({ subject }) => subject),
    ['app.chat', 'app.new'],
  );
  assert.deepEqual(contents(fake.sent[0]), [{ one: 1 }]);
  for (const channel of [...channels, nobodyListens]) channel.close();
  while (fake.subscribed.size > 2) await once(fake, 'subscription');
  assert.deepEqual([...fake.subscribed.keys()], ['app.chat', 'app.a%2Eb']);
  // While the broker is away it is not to be subscribed to again; and what is opened then is asked for later.
  fake.drop();
  const later = await listenTo(t, 'later');
  second.close();
  while (fake.subscribed.size > 1) await once(fake, 'subscription');
  fake.comeBack();
  await joined.ready();
  assert.deepEqual([...fake.subscribed.keys()], ['app.chat', 'app.later']);
  sayAs(fake)(0, ['from afar'], { to: 'app.later' });
  assert.deepEqual(await later.until(2), [['gap', undefined], ...from('from afar')]);
});

test('a bridge that could not be told all, since the primary computed, is told anew, and tells the others', {
  skip,
}, async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'astray-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const env = { MARK: path.join(folder, 'done') };
  await run('bus/programs/astray.js', { env, exits: [0] }, async program => {
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.deepEqual(facts(program), {
      error: ['ERR_RUST_CLUSTER_BRIDGE_FULL'],
      subscribed: [['app.flood', 'app.kept', 'app.new']],
      flood: [[true, 40]],
    });
  });
});

test('two bridges of one machine do not feed each other', { skip }, async t => {
  const [one, other] = [await machine(t, { channels: undefined }), await machine(t, { channels: undefined })];
  const named = await machine(t);
  one.say(0, ['from afar']);
  for (const { heard } of [one, other, named]) assert.deepEqual(await heard.until(1), from('from afar'));
  one.heard.channel.postMessage('from here');
  for (const { fake } of [one, other, named]) {
    await fake.until(1);
    assert.deepEqual(fake.sent.flatMap(contents), ['from here']);
  }
});

test('another machine may have the same name', { skip }, async t => {
  const { fake, heard } = await machine(t);
  sayAs(fake, 'afarafar', 'here')(0, ['theirs']);
  assert.deepEqual(await heard.until(1), [['theirs', 'here 3']]);
});

test('requests, locks and what is stored stay on this machine', { skip }, async t => {
  const { fake, heard } = await machine(t, { channels: undefined });
  heard.channel.answer(() => 'here');
  await assert.rejects(heard.channel.request('question'), { code: 'ERR_RUST_CLUSTER_BUS_NOBODY' });
  await locks.request('lock', () => leader('leads', () => store.set('key', 1)));
  heard.channel.postMessage('posted');
  await fake.until(1);
  assert.deepEqual(fake.sent.flatMap(contents), ['posted']);
});

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('the trace that a message belongs to is told, so that who does not know of it reads the message', {
  skip,
}, async t => {
  const { fake, heard } = await machine(t);
  const { channel } = heard;
  channel.postMessage('a');
  channel.postMessage({ b: [2] }, { traceparent: TRACEPARENT });
  channel.postMessage(new Map([[3, 'c']]), { traceparent: TRACEPARENT.replace('b7', 'c8') });
  channel.postMessage(new Set(['d']));
  await fake.until(4);
  assert.deepEqual(
    fake.sent.map(({ number, count, traced }) => [number, count, traced]),
    [
      [0, 1, false],
      [1, 2, true],
      [3, 1, false],
    ],
  );
  // As a release does that knows no such flag.
  const untraced = messagesOf({ ...fake.sent[1], traced: false });
  assert.deepEqual(
    untraced.map(({ bytes }) => [bytes[0], deserialize(bytes.subarray(1))]),
    [
      [2, { b: [2] }],
      [2, new Map([[3, 'c']])],
    ],
  );
});

test("the trace of what others say is the event's, if it is one", { skip }, async t => {
  const { heard, say } = await machine(t);
  const behind = (value, trace) => Buffer.concat([cloned(value), Buffer.from(trace, 'latin1')]);
  say(0, ['no trace', cloned('none')]);
  say(2, [behind('a', TRACEPARENT), behind(['b'], 'x'.repeat(55)), behind('c', ''), 'd'], { traced: true });
  say(6, [behind('e', TRACEPARENT.replace('-0', '\xff0')), Buffer.from([2])], { traced: true });
  say(7, [behind('twice', TRACEPARENT), behind('f', TRACEPARENT)], { traced: true });
  assert.deepEqual(await heard.until(9), [
    ...from('no trace', 'none'),
    ['a', 'there 3', TRACEPARENT],
    ...from(['b'], 'c', 'd', 'e'),
    ['no value', 'Error'],
    ['f', 'there 3', TRACEPARENT],
  ]);
});

test('what waits for a broker that is away is told when it is back, with a gap for who listens', {
  skip,
}, async t => {
  const { fake, joined, heard } = await machine(t);
  const other = await listen(t, 'chat', joined);
  fake.drop();
  heard.channel.postMessage('while it is away');
  // Here nobody waits for a broker.
  assert.deepEqual(await other.until(1), [['while it is away', 'primary']]);
  const connected = once(joined, 'connected');
  fake.comeBack();
  await connected;
  await fake.until(1);
  assert.deepEqual(contents(fake.sent[0]), ['while it is away']);
  assert.deepEqual(await heard.until(1), [['gap', undefined]]);
  assert.deepEqual(fake.log, ['+app.chat', '+app.chat']);
});

test('a bridge is ready when the broker knows of the channels', { skip }, async t => {
  const { fake, joined } = await machine(t);
  const story = [];
  let know;
  fake.subscribe = () =>
    new Promise(resolve => {
      know = resolve;
    });
  fake.drop();
  fake.comeBack();
  const ready = joined.ready().then(() => story.push('ready'));
  // Whoever does not wait for the broker is ready by then.
  for (const name of ['one', 'another']) await listenTo(t, name);
  story.push('the broker knows');
  know();
  await ready;
  assert.deepEqual(story, ['the broker knows', 'ready']);
});

test('a bridge is closed though the broker does not answer', { skip }, async t => {
  const { fake, joined } = await machine(t);
  fake.subscribe = fake.answer = () => new Promise(() => {});
  fake.drop();
  fake.comeBack();
  await joined.close();
  assert.deepEqual(fake.log.slice(-1), ['closed']);
  await joined.close();
});

test('what waits is bounded, and the others see how much is missing', { skip }, async t => {
  const { fake, joined, heard, errors } = await machine(t);
  fake.limit = undefined;
  fake.drop();
  await postMuch(joined, heard);
  while (errors.length === 0) await once(joined, 'error');
  assert.equal(errors[0][0], 'ERR_RUST_CLUSTER_BRIDGE_FULL');
  const { waiting } = joined.figures();
  assert.ok(waiting <= 17 << 20, `${waiting} bytes wait`);
  fake.comeBack();
  await fake.untilNumber(40);
  const told = fake.sent.reduce((sum, { count }) => sum + count, 0);
  assert.ok(told > 0 && told < 40, `${told} are told`);
  assert.equal(joined.figures().dropped.ERR_RUST_CLUSTER_BRIDGE_FULL, 40 - told);
});

test('a broker that does not confirm is told no more than is kept for one that is away', {
  skip,
}, async t => {
  const { fake, joined, heard, errors } = await machine(t);
  fake.limit = undefined;
  const confirms = [];
  fake.answer = () => new Promise(resolve => confirms.push(resolve));
  await postMuch(joined, heard);
  while (errors.length === 0) await once(joined, 'error');
  assert.equal(errors[0][0], 'ERR_RUST_CLUSTER_BRIDGE_FULL');
  const { waiting, sent } = joined.figures();
  assert.ok(waiting <= 17 << 20 && sent < 40, `${waiting} bytes wait, ${sent} are sent`);
  fake.answer = undefined;
  for (const confirm of confirms) confirm();
  await fake.untilNumber(40);
});

test('what the broker does not take is told of by its number', { skip }, async t => {
  const { fake, heard, joined, errors } = await machine(t);
  fake.limit = 1000;
  heard.channel.postMessage('x'.repeat(2000));
  while (errors.length < 1) await once(joined, 'error');
  assert.deepEqual(errors[0], ['ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE', 1]);
  // An empty envelope tells the next number.
  await fake.untilNumber(1);
  const no = () => {
    throw new Error('no');
  };
  for (const [number, answer] of [no, async () => no()].entries()) {
    fake.answer = answer;
    heard.channel.postMessage('lost');
    while (fake.sent.at(-1).count > 0 || fake.sent.at(-1).number !== number + 2) await once(fake, 'sent');
  }
  assert.equal(joined.figures().dropped.ERR_RUST_CLUSTER_BRIDGE_BROKER, 2);
  assert.equal(fake.sent.length, 5);
});

test("NATS's word holds for what was published before it was asked", { skip }, async () => {
  const { nats } = require('rust-cluster/bus/nats');
  const told = [];
  const never = new Promise(() => {});
  const transport = nats({
    isClosed: () => false,
    closed: () => never,
    async *status() {},
    publish: (_subject, bytes) => told.push(bytes),
    flush: async () => told.push('flush'),
  });
  const first = transport.publish('app.chat', 1);
  const same = transport.publish('app.chat', 2);
  await null;
  const later = transport.publish('app.chat', 3);
  await Promise.all([first, same, later]);
  assert.deepEqual(told, [1, 2, 'flush', 3, 'flush']);
});

/** Posts 40 MiB, a message after the other: each has come to the bridge, which has sent, kept or dropped it. */
async function postMuch(joined, { channel }) {
  const text = 'x'.repeat(1 << 20);
  for (let i = 0; i < 40; i++) {
    const before = JSON.stringify(joined.figures());
    channel.postMessage(`${i}${text}`);
    while (JSON.stringify(joined.figures()) === before) await turn();
  }
}
