'use strict';

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const { test } = require('node:test');
const { example, IDS } = require('./example');

test('udp.js: every datagram is answered by one worker', { timeout: 120_000 }, context => {
  const socket = dgram.createSocket('udp4');
  context.after(() => socket.close());
  return example('udp.js', {}, async (_program, port, workers) => {
    for (const { address } of workers) assert.deepEqual(address, { ...address, addressType: 'udp4', port });
    for (let count = 0; count < 20; count++) {
      socket.send(`datagram ${count}`, port, '127.0.0.1');
      const [data] = await once(socket, 'message');
      const [, id, rest] = `${data}`.match(/^worker (\d+) got (.*)$/);
      assert.ok(IDS.includes(Number(id)));
      assert.equal(rest, `datagram ${count}`);
    }
  });
});
