'use strict';

// Messages of all sizes, mixed, go to a worker and come back; each must be the copy that the serialisation makes.

const assert = require('node:assert/strict');
const v8 = require('node:v8');
const cluster = require('rust-cluster');

const { SERIALIZATION: serialization } = process.env;

function messages() {
  const sizes = [1, 100, 4095, 4096, 10_000, 70_000, 300_000, 1_000_000];
  const texts = ['x', 'ü', '\u{1f600}', '"\\\n', '\ud800'];
  const all = sizes.flatMap(size => texts.map(text => ({ size, text: text.repeat(size / text.length) })));
  const long = 'y'.repeat(5000);
  // Almost ASCII.
  for (const odd of ['\u00fc', '\u20ac', '\u{1f600}', '\ud800']) {
    for (const count of [1, 2, 3, 4, 5]) all.push(long + odd.repeat(count), odd.repeat(count) + long);
  }
  all.push('z'.repeat(5_000_000), long, [long, ['z'.repeat(2000), null, 1.5]], {
    long,
    undefined,
    minus: -0,
    not: Number.NaN,
  });
  all.push(
    { long, toJSON: () => ({ instead: long }) },
    { long, date: new Date(1) },
    JSON.parse(`{"__proto__":"${long}"}`),
  );
  all.push(Array.from({ length: 20_000 }, (_, index) => ({ index, name: `n${index}` })));
  // Twice: after a large one, a message is searched for long strings.
  return all.flatMap(message => [{ small: 1 }, message, message]);
}

const copies = {
  json: message => JSON.parse(JSON.stringify(message)),
  advanced: message => v8.deserialize(v8.serialize(message)),
};

if (cluster.isPrimary) {
  cluster.setupPrimary({ serialization });
  const worker = cluster.fork();
  const sent = messages().filter(message => serialization === 'json' || typeof message.toJSON !== 'function');
  if (serialization === 'advanced')
    sent.push({ bytes: Buffer.alloc(100_000, 7) }, new Map([[1, new Set(['z'])]]));
  let received = 0;
  worker.on('message', message => {
    assert.deepStrictEqual(message, copies[serialization](sent[received]), `message ${received}`);
    if (++received === sent.length) {
      console.log('all came back');
      worker.disconnect();
    }
  });
  for (const message of sent) worker.send(message);
} else {
  process.on('message', message => process.send(message));
}
