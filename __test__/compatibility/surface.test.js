'use strict';

// The surface of the cluster module, member by member and event by event: README.md, 'The surface'.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { runCase } = require('../support/run-case');
const differences = require('../support/differences');

const PROGRAM = 'compatibility/programs/surface.js';
const surface = (name, options, body) => runCase(PROGRAM, name, options, body);

/** Not Node's: an accessor for what Node once had, and the slot, where the two differ. */
const expectedMembers = members => {
  const { suicide, slot, ...rest } = members;
  assert.equal(slot, differences.slot ? 'number hidden' : undefined);
  assert.equal(suicide, differences.suicide ? 'accessor hidden' : undefined);
  return rest;
};

describe('surface: the primary', () => {
  let said;
  const one = name => said[name][0];

  before(async () => {
    said = await surface('primary');
  });

  test('surface: fork.length, setupPrimary.length and disconnect.length are 1', () => {
    assert.deepEqual(one('lengths'), [1, 1, 1]);
  });

  test('surface: setupMaster is the same function as setupPrimary', () => {
    assert.equal(one('alias'), true);
  });

  test('surface: isPrimary, isMaster and isWorker of a primary', () => {
    assert.deepEqual(one('is'), [true, true, false]);
  });

  test('surface: SCHED_NONE is 1, SCHED_RR is 2 and the default', () => {
    assert.deepEqual(one('policies'), [1, 2, 2]);
  });

  test('surface: settings and workers are {} at first', () => {
    assert.deepEqual([one('settings'), one('workers')], [{}, {}]);
  });

  test('surface: the object is an EventEmitter', () => {
    assert.deepEqual(one('emitter'), [true, true]);
  });

  test('surface: Worker is callable without new, and an EventEmitter', () => {
    assert.deepEqual(one('Worker'), [true, true, true, 7, 'none', 'undefined', 'undefined']);
    assert.deepEqual(one('Worker without options'), [0, 'none']);
  });

  test('surface: a primary has no worker', () => assert.equal(one('worker'), 'undefined'));

  test("surface: require('cluster') is the same object", () => assert.deepEqual(one('same'), [true, true]));

  test("surface: the primary's members are those of Node's, in Node's order", async () => {
    const control = await surface('primary', { env: { CLUSTER: 'node' } });
    assert.deepEqual(one('members'), control.members[0]);
    assert.deepEqual(one('keys'), control.keys[0]);
    assert.deepEqual(one('emitter fields'), control['emitter fields'][0]);
  });
});

describe('surface: the worker', () => {
  let said;
  const one = name => said[name][0];

  before(async () => {
    said = await surface('worker', { exits: [0] });
  });

  test('surface: isPrimary, isMaster and isWorker of a worker', () => {
    assert.deepEqual(one('is'), [false, false, true]);
  });

  test('surface: a worker has no member of the primary', () => {
    const missing = ['fork', 'workers', 'settings', 'setupPrimary', 'setupMaster', 'disconnect'];
    missing.push('SCHED_NONE', 'SCHED_RR', 'schedulingPolicy');
    for (const name of missing) assert.ok(!Object.hasOwn(one('members'), name), name);
  });

  test('surface: cluster.worker in the worker', () => {
    assert.equal(one('Worker'), true);
    assert.deepEqual(one('worker'), [1, true, 'online']);
    assert.deepEqual(one('connected'), [true, false]);
    assert.equal(one('exitedAfterDisconnect'), 'undefined');
  });

  test("surface: require('cluster') is the same object in a worker", () => {
    assert.deepEqual([one('same'), one('emitter')], [[true, true], true]);
  });

  test("surface: the worker's members are those of Node's, in Node's order", async () => {
    const control = await surface('worker', { env: { CLUSTER: 'node' }, exits: [0] });
    assert.deepEqual(one('members'), control.members[0]);
    assert.deepEqual(one('keys'), control.keys[0]);
    assert.deepEqual(
      expectedMembers(one('members of worker')),
      control['members of worker'][0],
      'cluster.worker',
    );
  });
});

describe('surface: the worker object', () => {
  let said;

  before(async () => {
    said = await surface('worker object', { exits: [0] });
  });

  test('surface: id and process', () => {
    assert.deepEqual(said.id, [[1, ['1'], true]]);
    assert.deepEqual(said.process, [[true, 'number']]);
  });

  test('surface: state is none, online, listening, disconnected, dead', () => {
    assert.deepEqual(said.state, ['none', 'online', 'listening', 'disconnected', 'dead']);
  });

  test('surface: isConnected and isDead from online to exit', () => {
    assert.deepEqual(said.connected, [
      [true, false],
      [false, false],
      [false, true],
    ]);
  });

  test('surface: disconnect() returns the worker, kill() calls destroy()', () => {
    assert.deepEqual([said['disconnect returns'], said['kill calls destroy']], [[true], [['SIGWINCH']]]);
  });

  test('surface: exitedAfterDisconnect is true once disconnect() was called', () => {
    assert.deepEqual(said.exitedAfterDisconnect, ['undefined', true]);
  });

  test("surface: the worker's members are those of Node's in the primary", async () => {
    const control = await surface('worker object', { env: { CLUSTER: 'node' }, exits: [0] });
    assert.deepEqual(expectedMembers(said.members[0]), control.members[0]);
  });
});

test('surface: state in a worker that listens and disconnects', async () => {
  const said = await surface('state in the worker', { exits: [0] });
  assert.deepEqual(said.state, ['online', 'listening', 'disconnecting', 'disconnecting']);
  assert.deepEqual(said['disconnect returns'], [true]);
  assert.deepEqual(said.exitedAfterDisconnect, [true]);
});

test('surface: destroy() in a worker', async () => {
  const said = await surface('destroy in the worker', { exits: [0] });
  assert.deepEqual(said['destroy returns'], ['undefined']);
  assert.deepEqual(said.state, ['destroying']);
  assert.deepEqual(said.disconnected, ['undefined']);
  assert.deepEqual(said.code, [0]);
  assert.deepEqual(said.end, [[0, null]]);
  assert.deepEqual(said.exitedAfterDisconnect, [true]);
});

test('surface: kill(signal) in the primary', async () => {
  const said = await surface('kill with a signal', { exits: ['SIGINT'] });
  assert.deepEqual(said, { 'kill returns': ['undefined'], end: [[null, 'SIGINT']] });
});

test('surface: send(message[, handle[, options]][, callback]) on both sides', async () => {
  const said = await surface('send in all forms', { exits: [0] });
  assert.deepEqual(said.received, [
    [1, 'none'],
    [2, 'none'],
    [3, 'Server'],
    [4, 'Server'],
    [5, 'Server'],
  ]);
  assert.deepEqual([said['sent 2'], said['sent 5']], [[null], [null]]);
});

describe('surface: events', () => {
  let said;

  before(async () => {
    said = await surface('order of events', { exits: [3] });
  });

  test('surface: events on cluster, their order and what they carry', () => {
    const address = { addressType: 4, address: null, port: said.port[0], fd: 'undefined' };
    assert.deepEqual(said.cluster, [
      ['forked'],
      ['setup', true],
      ['fork', 1],
      ['online', 1],
      ['message', 1, 'hello', 'undefined'],
      ['listening', 1, address],
      ['disconnect', 1],
      ['exit', 1, 3, null],
    ]);
  });

  test('surface: events on a Worker, their order and what they carry', () => {
    const address = { addressType: 4, address: null, port: said.port[0], fd: 'undefined' };
    assert.deepEqual(said.worker, [
      ['online'],
      ['message', 'hello', 'undefined'],
      ['listening', address],
      ['disconnect'],
      ['exit', 3, 'null'],
    ]);
  });
});

test("surface: 'error' is emitted on the Worker, not on cluster", async () => {
  const said = await surface('error event', { exits: [0] });
  assert.deepEqual(said, {
    'send returns': [false],
    callback: ['ERR_IPC_CHANNEL_CLOSED'],
    error: ['ERR_IPC_CHANNEL_CLOSED'],
  });
});

test("surface: 'listening' says addressType, address, port and fd of what was asked for", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
  const steps = ['any', 'localhost', 'unix', 'udp4', 'udp4 address'];
  const socket = path.join(folder, 's');
  const env = { SOCKET: socket, COUNT: steps.length, STEPS: steps };
  const said = await surface('listening payloads', { env, exits: [0] });
  fs.rmSync(folder, { recursive: true });

  const payloads = said.listening.map(all => {
    assert.equal(all.length, 1);
    return all[0];
  });
  const port = name => said[name][0].port;
  const fd = 'undefined';
  assert.deepEqual(payloads, [
    { addressType: 4, address: null, port: port('any'), fd },
    { addressType: 4, address: '127.0.0.1', port: port('localhost'), fd },
    { addressType: -1, address: socket, port: -1, fd },
    { addressType: 'udp4', address: '0.0.0.0', port: port('udp4'), fd: -1 },
    { addressType: 'udp4', address: '127.0.0.1', port: port('udp4 address'), fd: -1 },
  ]);
  assert.deepEqual(said.localhost[0].address, '127.0.0.1');
  assert.equal(said.unix[0], socket);
  assert.equal(said['udp4 address'][0].address, '127.0.0.1');
});

const hasIPv6 = Object.values(os.networkInterfaces())
  .flat()
  .some(({ address }) => address === '::1');

test("surface: 'listening' on IPv6", { skip: !hasIPv6 }, async () => {
  const steps = ['IPv6 loopback', 'udp6'];
  const said = await surface('listening payloads', { env: { COUNT: 2, STEPS: steps }, exits: [0] });
  assert.deepEqual(said.listening, [
    [{ addressType: 6, address: '::1', port: said['IPv6 loopback'][0].port, fd: 'undefined' }],
    [{ addressType: 'udp6', address: '::1', port: said.udp6[0].port, fd: -1 }],
  ]);
});

test("surface: 'setup' is emitted on the next tick, settings are new objects and cumulative", async () => {
  const said = await surface('setup on the next tick');
  assert.deepEqual(said['before any setup'], [0]);
  assert.deepEqual(said.returns, ['undefined']);
  assert.deepEqual(said['at once'], [0]);
  assert.deepEqual(said['new objects'], [[true, true, 0]]);
  assert.deepEqual(said.cumulative, [['a.js', ['b']]]);
  assert.deepEqual(said.unchanged, [[]]);
  assert.deepEqual(said['next tick'], [['a.js', 'a.js']]);
});

test('surface: default settings', async () => {
  const said = await surface('default settings', { nodeArgs: ['--no-deprecation'] });
  assert.deepEqual(said.settings, said.expected);
  assert.deepEqual(said.settings[0].execArgv, ['--no-deprecation']);
});

test('surface: --prof gets --logfile=v8-%p.log', async () => {
  const said = await surface('--prof');
  assert.deepEqual(said.added, [['--prof', '--logfile=v8-%p.log']]);
  assert.deepEqual(said['the array of the user'], [['--prof']]);
  assert.deepEqual(said.kept, [['--prof', '--logfile=mine.log']]);
});

test('surface: exec, args, execArgv, cwd, serialization, windowsHide and fork(env)', async () => {
  const said = await surface('settings reach the worker', { exits: [0] });
  assert.deepEqual(said.exec, [[true, true]]);
  assert.deepEqual(said.args, [['--one', 'two words', '']]);
  assert.deepEqual(said.execArgv, [['--no-deprecation', '--stack-trace-limit=7']]);
  assert.deepEqual(said.stackTraceLimit, [7]);
  assert.deepEqual(said.cwd, [true]);
  assert.deepEqual(said.env, [['green', '5', 'undefined']]);
  assert.deepEqual(said.isWorker, [true]);
  assert.deepEqual(said.spawnfile, [true]);
  assert.deepEqual(said.spawnargs[0], [
    '--no-deprecation',
    '--stack-trace-limit=7',
    path.join(__dirname, 'programs', 'settings-worker.js'),
    '--one',
    'two words',
    '',
  ]);
});

test('surface: silent', async () => {
  const said = await surface('silent', { exits: [0] });
  assert.deepEqual(said.streams, [[['Socket', 'Socket', 'Socket', 'null'], true, true, true]]);
  assert.deepEqual(said.text, [{ stdout: 'out: to the worker', stderr: 'err' }]);
});

test('surface: without silent the worker has the streams of the primary', async () => {
  const said = await surface('not silent', { exits: [0] });
  assert.deepEqual(said.streams, [[null, null, null, [null, null, null, null]]]);
});

test('surface: stdio overrides silent, and names the place of the channel', async () => {
  const said = await surface('stdio overrides silent', { exits: [0] });
  assert.deepEqual(said.streams, [['null', 'null', 'null', 'Socket', 'null', 'Socket']]);
  assert.deepEqual(said.text, ['five got three']);
});

test("surface: stdio must contain 'ipc'", async () => {
  const said = await surface('stdio without ipc', { exits: [0] });
  assert.deepEqual(said.error, [['Error', 'ERR_CHILD_PROCESS_IPC_REQUIRED']]);
  assert.deepEqual(said.id, [2], 'a fork that fails has used its id');
});

const isRoot = process.getuid() === 0;
test('surface: uid and gid', { skip: !isRoot && 'only root may change them' }, async () => {
  const said = await surface('uid and gid', { exits: [0] });
  assert.deepEqual(said.ids, [[65534, 65534, 65533, 65533]]);
});

test('surface: inspectPort', async () => {
  const said = await surface('inspect ports', {
    nodeArgs: ['--inspect-port=65534'],
    exits: [0, 0, 0, 0, 0],
  });
  const given = '--inspect-port=65534';
  assert.deepEqual(said['worker 1'], [[65535, [given, '--inspect-port=65535']]]);
  assert.deepEqual(said['worker 2'], [[1024, [given, '--inspect-port=1024']]], 'the port wraps');
  assert.deepEqual(said['worker 3'], [[20000, [given, '--inspect-port=20000']]]);
  assert.deepEqual(said['worker 4'], [[20001, [given, '--inspect-port=20001']]]);
  for (const value of ['null', '-1', '65536', 'a', 'nothing', '1.5', 'true'])
    assert.deepEqual(said[`refused ${value}`], [['RangeError', 'ERR_SOCKET_BAD_PORT']], value);
  assert.deepEqual(said['worker 12'], [[1025, [given, '--inspect-port=1025']]]);
});

test('surface: ids are 1, 2, 3 …, never reused, and workers is one object for life', async () => {
  const said = await surface('ids are never reused', { exits: [0, 0] });
  assert.deepEqual(said.ids, [[], ['2'], []]);
  assert.deepEqual(said['id in the worker'], [1, 2]);
  assert.deepEqual(said['same object'], [true]);
});

describe('surface: schedulingPolicy', () => {
  const policy = async env => {
    const said = await surface('policy', { env, exits: [0] });
    return { policy: said.policy[0], shared: said.shared[0], writable: said.writable[0] };
  };

  test('surface: NODE_CLUSTER_SCHED_POLICY=rr', async () =>
    assert.deepEqual(await policy({ NODE_CLUSTER_SCHED_POLICY: 'rr' }), {
      policy: 2,
      shared: false,
      writable: true,
    }));

  test('surface: NODE_CLUSTER_SCHED_POLICY=none', async () =>
    assert.deepEqual(await policy({ NODE_CLUSTER_SCHED_POLICY: 'none' }), {
      policy: 1,
      shared: true,
      writable: true,
    }));

  test('surface: schedulingPolicy counts until the first setup', async () =>
    assert.deepEqual(await policy({ SET: '1', SET_LATE: '2' }), { policy: 2, shared: true, writable: true }));

  test('surface: schedulingPolicy does not count after the first setup', async () =>
    assert.deepEqual(await policy({ SET_LATE: '1' }), { policy: 2, shared: false, writable: true }));

  test('surface: a schedulingPolicy that is none is refused', async () => {
    const said = await surface('bad policy');
    assert.deepEqual(said.error, [['Error', 'ERR_INTERNAL_ASSERTION', 'Bad cluster.schedulingPolicy: 3']]);
  });
});

test('surface: cluster.disconnect() without workers calls back on the next tick', async () => {
  const said = await surface('disconnect without workers');
  assert.deepEqual(said.returns, [['undefined', 'undefined']]);
  assert.deepEqual(said.called, [[1, 0]]);
});

test('surface: NODE_DEBUG=cluster prints a line a worker', async () => {
  let lines;
  const debug = /^\d+,Master Worker \d+ /;
  const options = { env: { NODE_DEBUG: 'cluster' }, exits: [0], stderr: debug };
  const said = await surface('NODE_DEBUG=cluster', options, async program => {
    await program.end();
    lines = program.stderr;
  });
  const [[primary, worker]] = said.pids;
  assert.equal(lines.includes(`${primary},Master Worker ${worker} online`), differences.debugLines);
  if (!differences.debugLines) assert.deepEqual(lines, []);
});

const noLines = !differences.debugLines && "Node's own cluster prints none";
test("surface: NODE_DEBUG='cluster*' prints the whole life of a worker", { skip: noLines }, async () => {
  let lines;
  const options = { env: { NODE_DEBUG: 'cluster*' }, exits: [0], stderr: /^\d+,Master Worker \d+ / };
  const said = await surface('a whole life', options, async program => {
    await program.end();
    lines = program.stderr;
  });
  const [[primary, worker, port]] = said.life;
  const life = [
    /^forked, as worker 1: .*surface\.js$/,
    /^online$/,
    new RegExp(`^listening on 127\\.0\\.0\\.1:${port}$`),
    /^asked to disconnect$/,
    /^disconnected$/,
    /^exited with 0$/,
  ];
  const start = `${primary},Master Worker ${worker} `;
  assert.equal(lines.length, life.length, lines.join('\n'));
  for (const [place, line] of lines.entries()) {
    assert.ok(line.startsWith(start), line);
    assert.match(line.slice(start.length), life[place]);
  }
});

test('surface: suicide is the old name of exitedAfterDisconnect', async () => {
  const said = await surface('suicide', { exits: [0] });
  assert.deepEqual(said.suicide, ['undefined', differences.suicide ? true : 'undefined']);
});

test("surface: a worker's child is no worker, and has nothing of the cluster", async () => {
  const said = await surface('grandchild', { exits: [0] });
  const none = { isWorker: false, isPrimary: true, worker: 'undefined', fork: 'function' };
  // fork() gives its child a channel of its own.
  const nothing = { ...none, variables: [], execArgv: [] };
  assert.deepEqual(said.fork, [{ ...nothing, sockets: 1 }]);
  assert.deepEqual(said.spawn, [{ ...nothing, sockets: 0 }]);
});

test("surface: nothing of ours stays in the worker's environment, execArgv and argv", async () => {
  const said = await surface('environment', { exits: [0], nodeArgs: ['--no-deprecation'] });
  const [primary] = said.primary;
  assert.deepEqual(said.worker, [[...primary, 'ADDED'].sort()]);
  assert.deepEqual(said['primary after'], [primary]);
  assert.deepEqual(said.execArgv, [['--no-deprecation']]);
  assert.deepEqual(said.argv, [[path.join(__dirname, 'programs', 'surface.js')]]);
});

test('surface: what NODE_OPTIONS preloads sees a worker, and nothing of ours is left of its own preload', async () => {
  const said = await surface('preloads', { exits: [0] });
  assert.deepEqual(said, {
    preloaded: [[true, 1, true]],
    worker: [[[], true]],
    thread: [[[], true]],
  });
});
