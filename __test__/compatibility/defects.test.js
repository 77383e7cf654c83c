'use strict';

// README.md, 'Defects that others shipped': a test for each that can be seen from outside, and for each
// that cannot, the place in the source that prevents it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');
const { run } = require('../support/program');
const { runCase } = require('../support/run-case');

const PROGRAM = 'compatibility/programs/defects.js';
const defect = (name, options, body) => runCase(PROGRAM, name, options, body);
const ROOT = path.join(__dirname, '..', '..');
const POLICIES = ['rr', 'none'];

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

describe('descriptors', () => {
  test('defect bun#28764: a descriptor is attached once, however often its message is cut', async () => {
    const said = await defect('a handle with a large message', { exits: [0] });
    assert.deepEqual(
      said.received,
      [0, 1, 2, 3, 4].map(n => [n, 1_000_000, true]),
    );
    assert.deepEqual(said['more sockets'], [5]);
  });

  test('defect bun#37427, bun#38242, deno#33605: received descriptors are close-on-exec', async () => {
    const said = await defect('received descriptors are close-on-exec', { exits: [0] });
    assert.equal(said.spawn[0].sockets, 0);
  });

  const late = !differences.duplicatesAtSend && "Node's own takes the descriptor later";
  test('defect deno#34661: the descriptor is duplicated at send()', { skip: late }, async () => {
    const said = await defect('a handle closed right after send()', { exits: [0] });
    assert.deepEqual(said.got, [[true, true]]);
  });

  for (const policy of POLICIES) {
    test(`defect bun#34659, bun#42614: an answer after close() and a second listen() (${policy})`, async () => {
      const env = {
        PORT: await freePort(),
        OTHER: await freePort(),
        NODE_CLUSTER_SCHED_POLICY: policy,
      };
      const said = await defect('close() before the answer', { env, exits: [0] });
      assert.deepEqual(said, {
        listening: [true],
        'second port': ['served'],
        'more sockets': [0],
        'first port': ['ECONNREFUSED'],
      });
    });

    test(`defect bun#31829: a Unix path goes with its last handle, after a crash too (${policy})`, async () => {
      const env = { SOCKET: path.join(folder, policy), NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await defect('the path of a crashed worker', { env, exits: ['SIGKILL'] });
      assert.deepEqual(said.exists, [true, false]);
    });
  }

  test('defect bun#31715: a received server does not ask the primary', async () => {
    const said = await defect('a received server does not ask the primary', { exits: [0] });
    assert.deepEqual(said, { answer: ['worker'] });
  });
});

describe('handoff', () => {
  test('defect bun#31829: a worker that refused a connection gets others later', async () => {
    const env = { PORT: await freePort() };
    const said = await defect('a worker that refused goes on', { env, exits: [0, 0] });
    const shares = ['1', '1', '2', '2'];
    assert.deepEqual(said['served by'], [shares, shares, shares]);
  });

  test('defect bun#31829: a connection queued under back-pressure is served once', async () => {
    const env = { PORT: await freePort(), FILE: path.join(folder, 'each') };
    const said = await defect('each connection once', { env, exits: [0, 0] });
    assert.deepEqual(said.served, [[300, true]]);
    assert.equal(said.count[0] + said.count[1], 300);
  });

  test('defect bun#34659: bytes sent before the handoff arrive', async () => {
    const env = { PORT: await freePort() };
    const said = await defect('bytes sent before the handoff', { env, exits: [0] });
    assert.deepEqual(said.received, ['100000']);
  });

  test('defect: clients that left while queued keep no slot', async () => {
    const env = { PORT: await freePort(), FILE: path.join(folder, 'left') };
    const said = await defect('clients that left while queued', { env, exits: [0] });
    assert.deepEqual(said.answer, ['served', 'served']);
  });

  test('defect bun#33057: nothing is kept of a worker that has gone', async () => {
    const killed = new Array(5).fill('SIGKILL');
    const options = { nodeArgs: ['--expose-gc'], exits: killed };
    const said = await defect('workers that are gone are forgotten', options);
    assert.deepEqual(said.kept, [0]);
  });
});

test('defect bun#33057: no descriptor stays open of a worker that has gone', async () => {
  const killed = 'SIGKILL';
  const said = await defect('descriptors of workers that are gone', {
    exits: [killed, 0, killed, 0, killed],
  });
  const [[first, ...others]] = said.sockets;
  assert.deepEqual(
    others,
    others.map(() => first),
  );
});

describe('messages', () => {
  test('defect bun#34659: a foreign NODE_ message with an ack reaches no callback of ours', async () => {
    const said = await defect('foreign messages with an ack', { exits: [0] });
    assert.deepEqual(said, {
      listening: [true],
      count: [20],
      told: [['NODE_FOREIGN', 'NODE_FOREIGN', 'NODE_FOREIGN']],
      exitedAfterDisconnect: [true],
    });
  });

  const waits = !differences.handlesNeedNoAnswer && "Node's own waits for an answer to each handle";
  test('defect deno#35968, v0#7466: no answer to a handle holds up the sender', { skip: waits }, async () => {
    const said = await defect('handles for a worker that does not answer', { exits: [0] });
    assert.deepEqual(said, { 'all sent': ['undefined'], received: [0, 1, 2, 'plain'] });
  });

  test("defect bun#30548: disconnect() before boot does not lose 'online'", async () => {
    const said = await defect('disconnect() before boot', { exits: [0] });
    assert.deepEqual(said.events, [['online'], ['disconnect'], ['exit', 0, null]]);
    assert.deepEqual(said.exitedAfterDisconnect, [true]);
  });
});

describe('listen', () => {
  for (const policy of POLICIES) {
    const skip =
      policy === 'none' && !differences.sharedListenAgain && "Node's own worker fails an assertion";
    test(`defect bun#34076: a bind that fails for several, negative errno (${policy})`, {
      skip,
    }, async () => {
      const port = await freePort();
      const env = { PORT: port, NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await defect('a bind that fails for several', { env, exits: [0, 0, 0] });
      const error = ['EADDRINUSE', -os.constants.errno.EADDRINUSE, port];
      assert.deepEqual(said, { error: [error, error, error], listening: [true] });
    });

    test(`defect bun#33025: the worker that asked for a bind dies, others listen (${policy})`, async () => {
      const env = { PORT: await freePort(), NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await defect('the asker of a bind dies', { env, exits: ['SIGKILL', 0, 0] });
      assert.deepEqual(said.answer, ['served']);
    });

    test(`defect bun#31829: servers with and without TLS data on one key (${policy})`, async () => {
      const env = { PORT: await freePort(), NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await defect('servers with and without data on one key', { env, exits: [0, 0, 0, 0] });
      assert.deepEqual(said.set, [
        [2, { from: 2 }],
        [4, { from: 2 }],
      ]);
    });
  }

  test('defect bun#34432: maxConnections holds, and what is refused waits', async () => {
    const env = { PORT: await freePort() };
    const said = await defect('maxConnections', { env, exits: [0, 0] });
    assert.deepEqual(said, { 'served by': [['1', '2']], connected: [2], third: [3] });
  });
});

test('defect of tests: an unexpected exit code of a worker fails a test', async () => {
  const program = run(PROGRAM, { env: { CASE: 'exit code 7' } }, p => p.end());
  await assert.rejects(program, /ends of workers/);
});

// What cannot be seen from outside: the source, or a test of the Rust core, that holds it.
const invariants = [
  {
    defect: 'bun#28764: a partial sendmsg',
    file: 'src/messages/channel/tests.rs',
    holds: 'fn a_descriptor_is_attached_once_however_short_the_writes_are',
  },
  {
    defect: 'bun#37427, bun#38242, deno#33605: MSG_CTRUNC is checked',
    file: 'src/os/socket.rs',
    holds: 'fn beside_threads_that_take_the_last_numbers_nothing_is_lost',
  },
  { defect: 'bun#37427: MSG_CMSG_CLOEXEC is asked', file: 'src/os/socket.rs', holds: 'CMSG_CLOEXEC' },
  {
    defect: 'bun#38242: descriptors that no frame announces are closed',
    file: 'src/messages/incoming/tests.rs',
    holds: 'fn a_descriptor_that_no_frame_announces_ends_the_stream',
  },
  {
    defect: 'bun#31829: what cannot be adopted is closed by us',
    file: 'lib/channel/handles.js',
    holds: 'closed if it cannot be adopted',
  },
  {
    defect: 'bun#31829: a connection has one owner',
    file: 'src/connections/acceptor/mod.rs',
    holds: 'Invariant: a [`Connection`] is in exactly one place',
  },
  {
    defect: 'bun#31829: what a dead worker has not taken goes to others',
    file: 'src/connections/acceptor/tests.rs',
    holds: 'fn the_queue_of_a_dead_worker_goes_to_the_others',
  },
  {
    defect: 'bun#31829: what all refuse is offered again',
    file: 'src/connections/acceptor/tests.rs',
    holds: 'fn one_that_all_refuse_waits_and_is_offered_again',
  },
  {
    defect: 'bun#31829: a full queue loses nothing and doubles nothing',
    file: 'src/connections/handoff.rs',
    holds: 'fn a_full_queue_says_so_and_loses_nothing',
  },
  {
    defect: 'bun#33057: callbacks are those of one channel, and go with it',
    file: 'lib/channel/channel.js',
    holds: 'Answers are matched within one channel',
  },
  {
    defect:
      'bun#34659: a user cannot answer a question of the cluster: control frames are a kind of their own',
    file: 'lib/channel/channel.js',
    holds: 'if (kind === CONTROL) {',
  },
];

describe('what cannot be seen from outside', () => {
  for (const { defect: name, file, holds } of invariants) {
    test(`defect ${name} (${file})`, () => {
      const text = fs.readFileSync(path.join(ROOT, file), 'utf8');
      assert.ok(text.includes(holds), `${file} has '${holds}'`);
    });
  }
});
