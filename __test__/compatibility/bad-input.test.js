'use strict';

// What Node refuses is refused in the same way: the same program is run with Node's own cluster, and says the same.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');
const { runCase } = require('../support/run-case');

const PROGRAM = 'compatibility/programs/bad-input.js';

/** The program as the test has it, and with Node's own cluster. */
async function both(name, { env, ...options }) {
  const said = await runCase(PROGRAM, name, { env, ...options });
  const control = await runCase(PROGRAM, name, { env: { ...env, CLUSTER: 'node' }, ...options });
  return { said, control };
}

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

/** Compares fact by fact, so that each is a test of its own; `codes`: those that documentation names. */
function compare(title, name, options, codes) {
  describe(title, () => {
    let runs;
    before(async () => {
      runs = await both(name, options());
    });

    for (const [fact, expected] of Object.entries(codes)) {
      test(`bad input: ${title}: ${fact}`, () => {
        const [found] = runs.said[fact];
        if (expected) assert.deepEqual(found.slice(0, 2), expected);
        assert.deepEqual(runs.said[fact], runs.control[fact]);
      });
    }

    test(`bad input: ${title}: all is as Node has it`, () => assert.deepEqual(runs.said, runs.control));
  });
}

const argType = ['TypeError', 'ERR_INVALID_ARG_TYPE'];
const argValue = ['TypeError', 'ERR_INVALID_ARG_VALUE'];

compare('settings', 'settings', () => ({ exits: [0, 0] }), {
  'args: text': argType,
  'args: NUL': argValue,
  'exec: a number': argType,
  'exec: null': argType,
  'exec: NUL': argValue,
  'cwd: a number': argType,
  'stdio: nonsense': argValue,
  'stdio: nonsense within': ['TypeError', 'ERR_INVALID_SYNC_FORK_INPUT'],
  'stdio: no ipc': ['Error', 'ERR_CHILD_PROCESS_IPC_REQUIRED'],
  'serialization: nonsense': argValue,
  'serialization: a number': argValue,
  'uid: text': argType,
  'gid: negative': undefined,
  'windowsHide: text': argType,
  'fork(env): NUL': argValue,
  'kill: no signal': ['TypeError', 'ERR_UNKNOWN_SIGNAL'],
});

const missing = ['TypeError', 'ERR_MISSING_ARGS'];
const handleType = ['TypeError', 'ERR_INVALID_HANDLE_TYPE'];
const sends = {
  nothing: missing,
  undefined: missing,
  'a function': argType,
  'a symbol': argType,
  'a bigint': argType,
  'an object as handle': handleType,
  'a number as handle': handleType,
  'text as options': argType,
  'null as options': argType,
  'text as keepOpen': undefined,
  'a cycle': undefined,
  'a good one': undefined,
};

for (const serialization of ['json', 'advanced']) {
  const codes = ['primary', 'worker'].flatMap(where =>
    Object.entries(sends).map(([what, code]) => [`${where}: send ${what}`, code]),
  );
  const options = () => ({ env: { SERIALIZATION: serialization }, exits: [0] });
  compare(`send(), ${serialization}`, 'send', options, Object.fromEntries(codes));
}

compare('listen()', 'listen', () => ({ env: { FOLDER: folder }, exits: [0] }), {
  'port 65536': ['RangeError', 'ERR_SOCKET_BAD_PORT'],
  'an address of nobody': ['Error', 'EADDRNOTAVAIL'],
  'a path without folder': undefined,
  'a descriptor that is not open': undefined,
  'a descriptor that is no socket': undefined,
  'no such host': ['Error', 'ENOTFOUND'],
  'UDP, an address of nobody': ['Error', 'EADDRNOTAVAIL'],
});

describe('a worker that cannot start', () => {
  const ways = {
    exec: { exits: [1], stderr: /^/ },
    cwd: { exits: [] },
    'syntax error': { exits: [1], stderr: /^/ },
  };
  for (const [how, options] of Object.entries(ways)) {
    test(`bad input: a worker that cannot start: ${how}`, async () => {
      const { said, control } = await both('cannot start', { env: { HOW: how }, ...options });
      assert.deepEqual(said, control);
    });
  }
});

test('bad input: args that are no text become text', async () => {
  const { said, control } = await both('args that are no text', { exits: [0] });
  assert.deepEqual(said, control);
  assert.deepEqual(said.argv, [['1', 'true', 'null', 'undefined', '2']]);
});

test("bad input: two 'ipc' in stdio", async () => {
  const { said, control } = await both('two channels', {});
  assert.deepEqual(said.fork[0].slice(0, 2), ['Error', 'ERR_IPC_ONE_PIPE']);
  assert.deepEqual(said, control);
});

const notRoot = process.getuid() !== 0 && 'only root can cease to be root';
test('bad input: a user that one may not become', { skip: notRoot }, async () => {
  const { said, control } = await both('a user that one may not become', {});
  assert.deepEqual(said.fork[0].slice(0, 2), ['Error', 'EPERM']);
  assert.deepEqual(said, control);
});

test('bad input: a UDP port of more than 16 bits is cut', async () => {
  const options = { env: { PORT: await freePort() }, exits: [0] };
  const { said, control } = await both('UDP ports of more than 16 bits', options);
  assert.deepEqual(said, control);
  assert.equal(Object.keys(said).length, 5);
});

const cuts = !differences.refusesLongPaths && 'libuv of Node < 24 cuts it';
test('bad input: a path that is too long for the kernel', { skip: cuts }, async () => {
  const said = await runCase(PROGRAM, 'a path that is too long', { env: { FOLDER: folder }, exits: [0] });
  assert.deepEqual(said, { error: [['EINVAL', 'bind']] });
});

const crashes = !differences.refusesRoundRobinHandles && "Node's own worker crashes";
test('bad input: a round-robin server cannot be sent', { skip: crashes }, async () => {
  const said = await runCase(PROGRAM, 'a round-robin server as handle', { exits: [0] });
  assert.deepEqual(said.send[0].slice(0, 2), ['TypeError', 'ERR_INVALID_HANDLE_TYPE']);
  assert.deepEqual(said.message, [['still alive', 'undefined']]);
});
