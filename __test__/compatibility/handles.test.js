'use strict';

// Handles that go with messages: every kind, in both directions, under both serialisations, in order, and
// none left open.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const differences = require('../support/differences');
const { runCase } = require('../support/run-case');

const PROGRAM = 'compatibility/programs/handles.js';
const handles = (name, options, body) => runCase(PROGRAM, name, options, body);

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

const SERIALIZATIONS = ['json', 'advanced'];
const DIRECTIONS = ['to worker', 'to primary'];
const ANSWER = 'answer to question';

/** What the receiver gets of each kind, and what the client hears. */
const expected = {
  'net.Socket': ['Socket', ANSWER],
  'net.Socket, Unix': ['Socket', ANSWER],
  'net.Socket, keepOpen': ['Socket', `sender and ${ANSWER}`],
  'net.Socket, half-open': ['Socket', ANSWER],
  'net.Socket, with data in its buffer': ['Socket', ANSWER],
  'net.Native, a socket': ['TCP', ANSWER],
  'net.Native, a Unix socket': ['Pipe', ANSWER],
  'net.Server': ['Server', ANSWER],
  'net.Server, Unix': ['Server', ANSWER],
  'net.Native, a server': ['TCP', ANSWER],
  'dgram.Socket': ['Socket', ANSWER],
  'dgram.Native': ['UDP', ANSWER],
};

if (!differences.sendsUnixServers) delete expected['net.Server, Unix'];

for (const direction of DIRECTIONS) {
  for (const serialization of SERIALIZATIONS) {
    const way = `${direction}, ${serialization}`;
    const env = () => ({
      DIRECTION: direction,
      KINDS: Object.keys(expected).join(';'),
      SERIALIZATION: serialization,
      SOCKET: path.join(folder, way.replace(/\W/g, '')),
    });

    describe(`handles ${way}`, () => {
      let said;

      before(async () => {
        said = await handles('all kinds', { env: env(), exits: [0] });
      });

      for (const [kind, [received, answer]] of Object.entries(expected)) {
        test(`handles: ${kind} (${way})`, () => {
          const [, name] = said.received.find(([received]) => received === kind);
          assert.deepEqual([name, said[kind]], [received, [answer]]);
        });
      }

      test(`handles: a socket sent without keepOpen has none (${way})`, () => {
        assert.deepEqual(said['handle after send'], [true, true, false]);
      });

      test(`handles: no descriptor stays open (${way})`, () => {
        assert.deepEqual(said['more sockets in the sender'], [0]);
        assert.deepEqual(said['more sockets in the receiver'], [0]);
      });
    });

    test(`handles: thousands between messages, in order, none lost (${way})`, async () => {
      const said = await handles('thousands', { env: env(), exits: [0] });
      assert.deepEqual(said, {
        received: [[4000, 4000]],
        'more sockets in the sender': [0],
        'more sockets in the receiver': [0],
      });
    });
  }
}

for (const serialization of SERIALIZATIONS) {
  test(`handles: thousands between messages, both ways at once (${serialization})`, async () => {
    const env = { DIRECTION: 'to worker', SERIALIZATION: serialization };
    const said = await handles('thousands, both ways at once', { env, exits: [0] });
    assert.deepEqual(said, {
      received: [
        [4000, 4000],
        [4000, 4000],
      ],
      'more sockets in the sender': [0],
      'more sockets in the receiver': [0],
    });
  });
}

test('handles: a server counts and waits for the connections that it sent away', async () => {
  const said = await handles('connections of a server', { exits: [0] });
  assert.deepEqual(said, { connections: [[null, 2]], closed: [2] });
});

test('handles: of a socket that was sent already, the message goes alone', async () => {
  const said = await handles('a socket that was sent already', { exits: [0] });
  assert.deepEqual(said, { first: ['Socket'], second: ['undefined'] });
});

for (const when of ['before', 'after']) {
  const skip = !differences.unheardErrors && "it ends Node's own primary";
  test(`handles: sockets that are reset ${when} they arrive do not end a primary that does not look`, {
    skip,
  }, async () => {
    const env = { WHEN: when };
    const said = await handles('sockets that are reset', {
      env,
      exits: [0],
      stderr: /UNHEARD|trace-warnings/,
    });
    // Once a worker, however many there are.
    assert.deepEqual(said, { warning: ['ERR_RUST_CLUSTER_UNHEARD'] });
  });
}
