'use strict';

// A message that travels as JSON under 'advanced' must be one of which JSON and V8 make the same copy.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const v8 = require('node:v8');
const { deserialize, isJson, serialize } = require('../../lib/channel/serialization');

const twice = {};
const cycle = {};
cycle.self = cycle;

const SAME = [
  null,
  true,
  'text',
  '\ud800',
  0,
  -1.5,
  1e300,
  {},
  [],
  [1, 'two', null, [3]],
  { a: 1, b: { c: [true, { d: 'e' }] } },
  { cmd: 'NODE_x', 'with space': 'ü€😀' },
  JSON.parse('{"__proto__": 1}'),
];

const DIFFERENT = {
  undefined: { a: undefined },
  // biome-ignore lint/suspicious/noSparseArray: it is what is tested
  hole: [1, , 3],
  // biome-ignore lint/suspicious/noSparseArray: it is what is tested
  'a hole, and as many properties': Object.assign([1, , 3], { extra: 1 }),
  'a property of an array': Object.assign([1], { extra: 1 }),
  'minus zero': -0,
  'not a number': Number.NaN,
  infinity: { a: Number.POSITIVE_INFINITY },
  bigint: { a: 1n },
  date: new Date(0),
  'a date inside': { a: new Date(0) },
  map: new Map([[1, 2]]),
  set: new Set([1]),
  regexp: /a/g,
  buffer: Buffer.from('a'),
  error: new Error('a'),
  cycle,
  'one object twice': [twice, twice],
  toJSON: { toJSON: 1 },
  'a getter of toJSON': {
    get toJSON() {
      return 1;
    },
  },
  'a class': new (class A {
    a = 1;
  })(),
  'no prototype': Object.assign(Object.create(null), { a: 1 }),
};

test('of what travels as JSON, JSON and V8 make the same copy', () => {
  for (const message of SAME) {
    assert.ok(isJson(message), JSON.stringify(message));
    assert.deepEqual(JSON.parse(JSON.stringify(message)), v8.deserialize(v8.serialize(message)));
  }
});

for (const [name, message] of Object.entries(DIFFERENT)) {
  test(`V8 copies it: ${name}`, () => {
    assert.equal(isJson(message), false);
    assert.deepEqual(deserialize(serialize(message)), v8.deserialize(v8.serialize(message)));
  });
}

test('a proxy is not taken for JSON', () => {
  assert.equal(isJson(new Proxy({ a: 1 }, {})), false);
  assert.equal(isJson({ inside: new Proxy([1], {}) }), false);
});

test('a copy has no part in the bytes it was read from', () => {
  const views = [
    Buffer.from('abc'),
    new Float64Array([1, 2]),
    new DataView(new ArrayBuffer(3)),
    Buffer.alloc(0),
  ];
  const bytes = serialize({ views });
  const copy = deserialize(bytes);
  bytes.fill(0xff);
  assert.deepEqual(copy, { views });
});

test('random messages: whatever is taken for JSON is equal in both copies', () => {
  let seed = 42;
  const random = limit => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % limit;
  };
  const leaves = [1, -0, 0.5, Number.NaN, 'x', '', true, null, undefined, 3n, new Date(1), twice];
  const make = depth => {
    const kind = depth > 3 ? 0 : random(3);
    if (kind === 0) return leaves[random(leaves.length)];
    const children = Array.from({ length: random(4) }, () => make(depth + 1));
    return kind === 1 ? children : Object.fromEntries(children.map((child, index) => [`k${index}`, child]));
  };
  let json = 0;
  for (let i = 0; i < 20_000; i++) {
    const message = make(0);
    if (!isJson(message)) continue;
    json++;
    assert.deepEqual(JSON.parse(JSON.stringify(message)), v8.deserialize(v8.serialize(message)));
  }
  assert.ok(json > 1000, `${json} were taken for JSON`);
});
