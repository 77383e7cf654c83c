'use strict';

// README.md, 'Easy to get wrong': the tests of a line start with its number.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { runCase } = require('../support/run-case');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');

const PROGRAM = 'compatibility/programs/easy-to-get-wrong.js';
const compat = (name, options, body) => runCase(PROGRAM, name, options, body);

const [major, minor] = process.versions.node.split('.').map(Number);
const hasReusePort = major > 22 || (major === 22 && minor >= 12);
const hasIPv6 = Object.values(os.networkInterfaces())
  .flat()
  .some(({ address }) => address === '::1');
const POLICIES = ['rr', 'none'];

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

for (const policy of POLICIES) {
  test(`compat 1: the n-th listen(0) of every worker gets the same port (${policy})`, async () => {
    const env = { NODE_CLUSTER_SCHED_POLICY: policy };
    const said = await compat('listen(0)', { env, exits: [0, 0] });
    const [{ 1: one, 2: two }] = said.ports;
    assert.deepEqual(one, two);
    assert.notEqual(one[0], one[1]);
  });

  test(`compat 2: listen({ fd }) in a worker means the descriptor of the primary (${policy})`, async () => {
    const env = { NODE_CLUSTER_SCHED_POLICY: policy };
    const said = await compat("listen({ fd }) of the primary's", { env, exits: [0] });
    assert.deepEqual(said, { listening: [[true, true]], answer: ['from the worker'] });
  });
}

for (const means of ['exclusive', 'handle']) {
  test(`compat 2: ${means} bypasses the primary`, async () => {
    const env = { MEANS: means };
    const said = await compat('listen(handle), exclusive and reusePort', { env, exits: [0, 0] });
    assert.deepEqual(said, { first: [true], second: ['EADDRINUSE'] });
  });
}

const skipReusePort = !hasReusePort && 'Node >= 22.12 has it';
for (const host of ['', '127.0.0.1']) {
  const skip = skipReusePort;
  test(`compat 2: reusePort bypasses the primary, ${host || 'no host'}, Node >= 22.12`, {
    skip,
  }, async () => {
    const env = { MEANS: 'reusePort', HOST: host };
    const { first, second, listening } = await compat('listen(handle), exclusive and reusePort', {
      env,
      exits: [0, 0],
    });
    assert.deepEqual(first, [true]);
    assert.equal(typeof second[0], 'number', 'both listen');
    assert.equal(listening, undefined);
  });
}

for (const by of ['primary', 'worker']) {
  test(`compat 3: a worker whose channel the ${by} closes exits with code 0`, async () => {
    const said = await compat('the channel is lost', { env: { BY: by }, exits: [0] });
    assert.deepEqual(said, { code: [0], end: [[0, null, false]] });
  });
}

test('compat 3: a worker whose primary was killed exits with code 0', async () => {
  const { run } = require('../support/program');
  await run(PROGRAM, { env: { CASE: 'the primary is killed' } }, async program => {
    // Its end is that of all that hold its output: the worker too.
    assert.deepEqual(await program.end(), { code: null, signal: 'SIGKILL' });
    assert.deepEqual(program.stdout, ['["code",0]']);
  });
});

test('compat 4: exitedAfterDisconnect is undefined while alive, boolean from disconnect on', async () => {
  const said = await compat('exitedAfterDisconnect', { exits: [0, 0, 5, 'SIGTERM'] });
  const alive = 'undefined';
  // At first, then at online, listening, disconnect and exit.
  assert.deepEqual(said, {
    1: [alive, alive, alive, true, true],
    2: [alive, alive, alive, true, true],
    3: [alive, alive, alive, false, false],
    4: [alive, alive, alive, false, false],
  });
});

test('compat 5: disconnect() takes a worker out at once, a crashing one is there during disconnect', async () => {
  const said = await compat('workers at the end', { exits: [0, 'SIGKILL'] });
  assert.deepEqual(said['after disconnect()'], [[]]);
  assert.deepEqual(said.crashed, [
    ['disconnect', true],
    ['cluster disconnect', true],
    ['exit', false],
    ['cluster exit', false],
  ]);
});

test('compat 6: cluster.disconnect(callback) calls back when all have disconnected', async () => {
  const said = await compat('cluster.disconnect(callback)', {
    env: { SOCKET: path.join(folder, 'disconnect') },
    exits: [0, 0, 0],
  });
  assert.deepEqual(said.workers, [[]], 'at once');
  assert.deepEqual(said.connected, [differences.disconnectWaitsForAll ? 0 : 2]);
});

test('compat 7: kill() in the primary signals at once and leaves exitedAfterDisconnect', async () => {
  const said = await compat('kill() in the primary', { exits: ['SIGTERM'] });
  assert.deepEqual(said['after kill()'], [['undefined', ['1']]]);
  assert.deepEqual(said.end, [[null, 'SIGTERM', false]]);
  assert.deepEqual(Object.keys(said), ['after kill()', 'end'], 'the worker was told nothing');
});

for (const policy of POLICIES) {
  test(`compat 8: when the last listening worker leaves, connections are refused (${policy})`, async () => {
    const env = { PORT: await freePort(), NODE_CLUSTER_SCHED_POLICY: policy };
    const said = await compat('the last listener leaves', { env, exits: [0, 0] });
    assert.deepEqual(said, { 'one left': ['served'], 'none left': ['ECONNREFUSED'] });
  });

  test(`compat 9: UDP is shared by all workers (${policy})`, async () => {
    const env = { NODE_CLUSTER_SCHED_POLICY: policy };
    const said = await compat('UDP is shared', { env, exits: [0, 0] });
    assert.deepEqual(said, {
      'same socket': [true],
      'same port': [true],
      answer: ['answer to question'],
    });
  });

  test(`compat 10: the first worker's server data is sent to all (${policy})`, async () => {
    const env = { NODE_CLUSTER_SCHED_POLICY: policy };
    const said = await compat('data of servers', { env, exits: [0, 0] });
    assert.deepEqual(said.set, [
      [1, { from: 1 }],
      [2, { from: 1 }],
    ]);
  });
}

test('compat 10: TLS servers of all workers have the same ticket keys', async () => {
  const said = await compat('TLS ticket keys', { exits: [0, 0] });
  assert.deepEqual(said.keys, [[96, true]]);
});

describe('compat 11: Unix paths', () => {
  for (const policy of POLICIES) {
    test(`compat 11: a path is absolute in the worker and unlinked with the last (${policy})`, async () => {
      const env = { SOCKET: path.join(folder, `path-${policy}`), NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await compat('Unix path', { env, exits: [0, 0] });
      assert.deepEqual(said, {
        listening: [true, true],
        exists: [true],
        answer: ['served'],
        'one left': [true],
        'none left': [false],
      });
    });

    test(`compat 11: of a long path the relative one is bound (${policy})`, async () => {
      const long = path.join(folder, policy.padEnd(120, 'x'));
      fs.mkdirSync(long);
      const env = { FOLDER: long, NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await compat('long Unix path', { env, exits: [0] });
      assert.deepEqual(said, {
        'too long for the kernel': [true],
        listening: [true],
        answer: ['served'],
        exists: [false],
      });
    });

    test(`compat 11: readableAll and writableAll reach the primary (${policy})`, async () => {
      const env = { SOCKET: path.join(folder, `rights-${policy}`), NODE_CLUSTER_SCHED_POLICY: policy };
      const said = await compat('rights of a Unix path', { env, exits: [0] });
      const [plain, ...rest] = said['no cluster'][0];
      const reach = policy === 'rr' || differences.rightsOfSharedPaths;
      assert.deepEqual(said.cluster[0], reach ? [plain, ...rest] : rest.map(() => plain).concat(plain));
    });

    test(`compat 11: backlog reaches the primary (${policy})`, async () => {
      const socket = path.join(folder, `backlog-${policy}`);
      const env = { SOCKET: socket, BACKLOG: 3, NODE_CLUSTER_SCHED_POLICY: policy };
      await compat('backlog', { env, exits: [0] }, async program => {
        const [[, text]] = await program.lines(/^\["pids",(.+)\]$/);
        const pids = JSON.parse(text);
        // Nobody accepts: what connects waits in the kernel.
        for (const pid of pids) await stop(pid);
        const waiting = [];
        let refused;
        while (!refused) {
          const result = await connect(socket);
          if (result.code) refused = result.code;
          else waiting.push(result);
        }
        for (const pid of pids) process.kill(pid, 'SIGCONT');
        assert.equal(refused, 'EAGAIN');
        assert.equal(waiting.length, 4, 'the kernel lets one more wait than it is asked to');
        for (const { closed } of waiting) await closed;
        process.kill(pids[0], 'SIGUSR2');
      });
    });

    for (const only of [true, false]) {
      const skip = !hasIPv6 && 'no IPv6 here';
      test(`compat 11: ipv6Only: ${only} reaches the primary (${policy})`, { skip }, async () => {
        const env = { PORT: await freePort(), ONLY: only, NODE_CLUSTER_SCHED_POLICY: policy };
        const said = await compat('ipv6Only', { env, exits: [0] });
        assert.deepEqual(said.answers, [['served', only ? 'ECONNREFUSED' : 'served']]);
      });
    }
  }
});

async function stop(pid) {
  process.kill(pid, 'SIGSTOP');
  // pid (name) state …
  while (!/^\d+ \(.*\) T /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))) await turn();
}

/** @returns {Promise<{code: string} | {closed: Promise<void>}>} */
function connect(socket) {
  return new Promise(resolve => {
    const client = net.connect(socket);
    const closed = new Promise(done => client.once('close', done));
    client.once('error', resolve);
    client.once('connect', () => resolve({ closed }));
    client.resume();
  });
}

describe('compat 12: what keeps a worker alive', () => {
  for (const policy of POLICIES) {
    test(`compat 12: servers, the channel, and ref() and unref() on both (${policy})`, async () => {
      const stay = ['server', 'server ref'];
      const leave = ['server unref', 'server closed'];
      // The policy is all the same to the channel.
      if (policy === 'rr') {
        stay.push('nothing', 'channel ref', 'message');
        leave.push('channel unref', 'message removed', 'no listener');
      }
      const env = { STAY: stay, LEAVE: leave, NODE_CLUSTER_SCHED_POLICY: policy };
      const exits = [...stay.map(() => 'SIGTERM'), ...leave.map(() => 0)];
      const said = await compat('what keeps a worker alive', { env, exits });
      assert.deepEqual(
        said.stays,
        stay.map(name => [name, true]),
      );
      assert.deepEqual(said.leaves.toSorted(), leave.map(name => [name, 0, null]).toSorted());
    });
  }
});

for (const length of [1, 100_000]) {
  const skip =
    length > 1 &&
    !differences.deliversLargeQueues &&
    "Node's own loses what the kernel does not take at once";

  test(`compat 13: 50 messages of ${length} bytes, then disconnect(): all arrive`, { skip }, async () => {
    const env = { LENGTH: length };
    const said = await compat('send() then disconnect()', { env, exits: [0] });
    assert.deepEqual(said, { 'in the worker': [[50, true]], 'in the primary': [[50, true]] });
  });

  test(`compat 13: 50 messages of ${length} bytes, then process.disconnect(): all arrive`, {
    skip,
  }, async () => {
    const env = { LENGTH: length };
    const said = await compat('send() then process.disconnect()', { env, exits: [0] });
    assert.deepEqual(said.got, [Array.from({ length: 50 }, (_, n) => n)]);
  });
}

const needsLoop = !differences.writesWithoutLoop && "Node's own writes when its loop turns";
test('compat 13: what another thread has written is called back', { skip: needsLoop }, async () => {
  const env = { FILE: path.join(folder, 'written') };
  const said = await compat('written while the loop is blocked', { env, exits: [0] });
  assert.deepEqual(said['called back'], [true]);
});

const skipTwice = !differences.disconnectAsksOnce && "a worker of Node's own throws ERR_IPC_DISCONNECTED";
test('compat 14: a second disconnect(), and destroy() with it, send nothing twice', {
  skip: skipTwice,
}, async () => {
  const said = await compat('disconnect() twice', { exits: [0, 0, 0] });
  for (const id of [1, 2, 3]) {
    assert.deepEqual(said[`events of ${id}`], ['disconnect', 'exit']);
    assert.deepEqual(said[`in worker ${id}`], ['disconnect']);
  }
  assert.deepEqual(said['told to 1'], [['disconnect']]);
  assert.deepEqual(said['asked by 1'], [['online']]);
  assert.deepEqual(said['asked by 2'], [['online', 'exitedAfterDisconnect']]);
  assert.deepEqual(said['asked by 3'], [['online', 'exitedAfterDisconnect']]);
});

for (const policy of POLICIES) {
  const listens = async name => {
    const env = { PORT: await freePort(), NODE_CLUSTER_SCHED_POLICY: policy };
    return compat(name, { env, exits: [0] });
  };
  const skip = policy === 'none' && !differences.sharedListenAgain && "Node's own worker fails an assertion";

  test(`compat 16: a double listen gives EADDRINUSE (${policy})`, { skip }, async () => {
    const said = await listens('double listen');
    assert.deepEqual(said[0], ['listening']);
    const [[code, syscall]] = said[1];
    assert.equal(code, 'EADDRINUSE');
    // Two shared handles can both be bound as long as none listens.
    assert.ok(syscall === 'bind' || (policy === 'none' && syscall === 'listen'), syscall);
  });

  test(`compat 16: a double listen without 'error' listener can be caught (${policy})`, {
    skip,
  }, async () => {
    const said = await listens('double listen, a thrown error');
    assert.deepEqual(said.uncaught, ['EADDRINUSE']);
  });
}

test("compat 17: 'advanced' carries what V8 can clone, both ways", async () => {
  const said = await compat('advanced', { exits: [0] });
  const names = Object.keys(said);
  assert.ok(names.length >= 30, `${names.length}`);
  for (const name of names) assert.deepEqual(said[name], [true], name);
});

test("compat 17: 'advanced' carries errors, shared references and cycles", async () => {
  const said = await compat('errors, shared references and cycles', { exits: [0] });
  assert.deepEqual(said, { error: [[true, 'too far', 'string']], cycle: [true], twice: [true] });
});

const closed = ['Error', 'ERR_IPC_CHANNEL_CLOSED', 'Channel closed'];
const refusals = {
  json: {
    cycle: ['TypeError', 'undefined', 'Converting circular structure to JSON'],
    bigint: ['TypeError', 'undefined', 'Do not know how to serialize a BigInt'],
    function: 'sent',
    symbol: 'sent',
  },
  advanced: {
    cycle: 'sent',
    bigint: 'sent',
    function: ['Error', 'undefined', 'f() {} could not be cloned.'],
    symbol: ['Error', 'undefined', 'Symbol(s) could not be cloned.'],
  },
};

for (const [serialization, expected] of Object.entries(refusals)) {
  test(`compat 18: send() of what cannot be serialised throws (${serialization})`, async () => {
    const env = { SERIALIZATION: serialization };
    const said = await compat('send() of what cannot be sent', { env, exits: [0] });
    for (const where of ['primary', 'worker']) {
      for (const [name, result] of Object.entries(expected))
        assert.deepEqual(said[`${where} ${name}`], [result], `${where} ${name}`);
    }
    assert.deepEqual(said.message, ['still alive']);
    assert.deepEqual(said['primary closed'], [false]);
    assert.deepEqual(said['primary callback'], [closed]);
    assert.deepEqual(said['primary error'], [closed]);
    assert.deepEqual(said['worker closed'], [false]);
  });
}
