'use strict';

// Strings that travel beside a message's JSON: what is put together again must be what JSON makes of the message.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { takeOut, putBack } = require('../../lib/channel/long_strings');

const long = 'x'.repeat(5000);
const other = '😀'.repeat(2000);

const there = message => {
  const parts = takeOut(message);
  return parts && putBack([`[${parts[0]}]`, ...parts.slice(1)])[0];
};
const json = message => JSON.parse(JSON.stringify(message));

const WITH_LONG_STRINGS = {
  'a string': long,
  'a property': { a: 1, long, b: [true] },
  'deep inside': { a: [{ b: [[], { c: [0, long, null] }] }], d: other },
  'the same one twice': [long, long, { long }],
  'keys like indices': { 1: long, 0: 'first' },
  'an own __proto__': JSON.parse(`{"a":{"__proto__":"${long}"},"__proto__":{"b":"${long}"}}`),
  'what JSON leaves out': { long, undefined, function() {}, [Symbol('s')]: 1, inside: [undefined, NaN] },
  // biome-ignore lint/suspicious/noSparseArray: it is what is tested
  'an array with holes, and with a property': Object.assign([, long, ,], { extra: long }),
  toJSON: { toJSON: () => ({ long }), long, beside: 1 },
  'a date and a map': { long, date: new Date(0), map: new Map([[1, long]]) },
  'an instance': {
    long,
    instance: new (class A {
      long = long;
    })(),
  },
  'a getter': {
    long,
    get other() {
      return other;
    },
  },
  'no prototype': { long, bare: Object.assign(Object.create(null), { long }) },
  'bytes and boxes': { long, bytes: Buffer.from('a'), view: new Uint8Array(3), boxed: new String(long) },
  'more values than are looked at': { long, many: Array.from({ length: 200 }, () => other) },
};

for (const [name, message] of Object.entries(WITH_LONG_STRINGS)) {
  test(`long strings come back: ${name}`, () => {
    assert.deepStrictEqual(there({ message, long }), json({ message, long }));
    assert.deepStrictEqual(
      Object.keys(Object(there({ message, long }).message)),
      Object.keys(Object(json(message))),
    );
  });
}

test('nothing is taken out where nothing is long', () => {
  for (const message of [null, 1, true, 'short', {}, [], { a: 'x'.repeat(1023) }]) {
    assert.equal(takeOut(message), undefined);
  }
});

test('the message that was sent stays as it is', () => {
  const message = Object.freeze({ long, inside: Object.freeze([long]) });
  takeOut(message);
  assert.deepEqual(message, { long, inside: [long] });
});

test('a message that JSON cannot write is refused as JSON refuses it', () => {
  const circle = { long };
  circle.inside = circle;
  assert.throws(() => takeOut(circle), /circular/);
  assert.throws(() => takeOut({ long, big: 1n }), TypeError);
});

test('a hostile process cannot put a string where it did not take one out', () => {
  for (const text of [
    '[[{},[["__proto__","polluted"]]]]',
    '[[{},[["a"]]]]',
    '[[[],[["length","x"]]]]',
    '[[1,[["a","b"]]]]',
    '[{}]',
    '{}',
  ]) {
    assert.throws(() => putBack([text, long]), text);
  }
  assert.equal({}.polluted, undefined);
});

test('messages that are put together at once get each its own strings', () => {
  const messages = [{ a: [long, 1], b: other }, [1, 2, `${long}2`], `${other}3`, { c: { d: [`${long}4`] } }];
  const parts = messages.map(takeOut);
  const texts = parts.map(([json]) => json);
  const strings = parts.flatMap(([, ...strings]) => strings);
  assert.deepStrictEqual(putBack([`[${texts}]`, ...strings]), messages);
});

test('random messages come back', () => {
  let seed = 7;
  const random = limit => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % limit;
  };
  const leaves = [1, null, true, '', 'short', undefined, long, other, new Date(1)];
  const make = depth => {
    const kind = depth > 4 ? 0 : random(3);
    if (kind === 0) return leaves[random(leaves.length)];
    const children = Array.from({ length: random(5) }, () => make(depth + 1));
    return kind === 1 ? children : Object.fromEntries(children.map((child, index) => [`k${index}`, child]));
  };
  let taken = 0;
  for (let i = 0; i < 5000; i++) {
    const message = [make(0)];
    const copy = there(message);
    if (copy === undefined) continue;
    taken++;
    assert.deepStrictEqual(copy, json(message));
  }
  assert.ok(taken > 1000, `${taken} had a long string`);
});
