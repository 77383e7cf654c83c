'use strict';

// supervise(): from the first worker to the last.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { get, send } = require('../support/http');
const { signal } = require('../support/proc');
const { supervising, folderFor, lives, program, untilGone } = require('./supervision');

const HTTP = program('http.js');
/** How long nothing may take that these tests do not look at. */
const OPTIONS = { exec: HTTP, workers: 2, drain: '10m', stuck: 0 };

const pids = ({ value: { workers } }) => workers.map(({ pid }) => pid).sort();

/**
 * Sends a request that a worker does not answer yet.
 * @returns {Promise<{ response: Promise<{ status: number, body: string }> }>} once the worker has it
 */
async function hold(supervision, port, options) {
  const { request, response } = send(port, { path: '/hold/x', ...options });
  request.end();
  await supervision.until('request', () => supervision.stdout.some(line => line.startsWith('held ')));
  return { response };
}

test('all workers become ready, and status() tells of them', () =>
  supervising({ ...OPTIONS, name: 'shop' }, async supervision => {
    const { workers, addresses } = await supervision.report('all-ready');
    assert.equal(workers, 2);
    assert.match(addresses[0], /^127\.0\.0\.1:\d+$/);
    const { value } = await supervision.call('status');
    assert.deepEqual(
      { ...value, workers: value.workers.map(({ slot, state, generation }) => [slot, state, generation]) },
      {
        name: 'shop',
        pid: supervision.pid,
        version: require('../../package.json').version,
        state: 'running',
        wanted: 2,
        workers: [
          [0, 'ready', 1],
          [1, 'ready', 1],
        ],
      },
    );
  }));

test('sticky: a client has one worker, and after a reload the one in its place', () =>
  supervising({ ...OPTIONS, workers: 3, sticky: { header: 'x-client' } }, async supervision => {
    const port = await supervision.port();
    const ask = async client => {
      const { request, response } = send(port, { headers: { 'x-client': client } });
      request.end();
      const pid = Number((await response).body);
      const { workers } = (await supervision.call('status')).value;
      return { pid, slot: workers.find(worker => worker.pid === pid).slot };
    };
    const clients = ['a', 'b', 'c', 'd', 'e', 'f'];
    const first = await Promise.all(clients.map(ask));
    for (let i = 0; i < 3; i++) assert.deepEqual(await Promise.all(clients.map(ask)), first);
    await supervision.call('reload');
    const later = await Promise.all(clients.map(ask));
    assert.deepEqual(
      later.map(({ slot }) => slot),
      first.map(({ slot }) => slot),
    );
    for (const [index, { pid }] of later.entries()) assert.notEqual(pid, first[index].pid);
  }));

test('reload(): every worker is replaced, the new one is ready before the old one leaves', () =>
  supervising(OPTIONS, async supervision => {
    await supervision.port();
    const before = pids(await supervision.call('status'));
    assert.deepEqual(await supervision.call('reload'), { value: { replaced: 2 } });
    const draining = supervision.reports.filter(({ event }) => event === 'draining');
    for (const { slot, pid, time } of draining) {
      assert.ok(before.includes(pid));
      const { time: ready } = await supervision.report('ready', { slot, worker: slot + 3 });
      assert.ok(ready <= time);
    }
    for (const pid of before) await supervision.report('exited', { pid, expected: true });
    assert.equal(pids(await supervision.call('status')).filter(pid => before.includes(pid)).length, 0);
  }));

test('reload(): a second call joins the first', () =>
  supervising(OPTIONS, async supervision => {
    await supervision.port();
    // Asked for in one message: between two a whole reload has room where this process has to wait for its turn.
    const outcomes = await supervision.callTwice('reload');
    assert.deepEqual(outcomes, [{ value: { replaced: 2 } }, { value: { replaced: 2 } }]);
    assert.equal(supervision.reports.filter(({ event }) => event === 'reload-started').length, 1);
  }));

for (const [what, source, why, line] of [
  [
    'throws',
    "throw new Error('no database');",
    'exited with code 1 before it was ready',
    'Error: no database',
  ],
  ['is no JavaScript', 'const = ;', 'exited with code 1 before it was ready', /SyntaxError/],
  ['rejects', "Promise.reject('no promise');", 'exited with code 1 before it was ready', /no promise/],
  ['exits', 'process.exit(7);', 'exited with code 7 before it was ready', undefined],
  [
    'does not listen',
    'setInterval(() => {}, 1000);',
    /^was not ready within \d+ ms: it does not listen/,
    undefined,
  ],
]) {
  test(`reload(): a release that ${what} is refused, and the old one serves on`, context =>
    supervisingFile(context, async (supervision, exec, expectSoon) => {
      const port = await supervision.port();
      const before = pids(await supervision.call('status'));
      fs.writeFileSync(exec, source);
      if (what === 'does not listen') expectSoon();
      const { error } = await supervision.call('reload');
      assert.equal(error.code, 'ERR_RUST_CLUSTER_RELOAD_FAILED');
      assert.equal(error.slot, 0);
      if (why instanceof RegExp) assert.match(error.why, why);
      else assert.equal(error.why, why);
      if (line === undefined) assert.deepEqual(error.lines, []);
      else if (line instanceof RegExp) assert.match(error.lines.join('\n'), line);
      else assert.equal(error.lines[0], line);
      assert.ok(before.includes(Number((await get(port)).body)));
      assert.ok(before.every(lives));
    }));
}

/** With a program of its own, that listens. What replaces it has a second, once `body` says so. */
function supervisingFile(context, body) {
  const folder = folderFor(context);
  const exec = path.join(folder, 'app.js');
  fs.writeFileSync(exec, `require(${JSON.stringify(HTTP)});`);
  const file = path.join(folder, 'options.json');
  const write = readyTimeout =>
    fs.writeFileSync(file, JSON.stringify({ ...OPTIONS, execArgv: [], exec, readyTimeout }));
  write('10m');
  return supervising({ file }, async supervision => {
    await supervision.port();
    await body(supervision, exec, () => write('1s'));
  });
}

test("waitReady: a worker is ready once it has said 'ready'", context => {
  const exec = path.join(folderFor(context), 'app.js');
  fs.writeFileSync(
    exec,
    `require('node:net').createServer().listen(0);
    process.on('SIGUSR2', () => process.send('ready'));`,
  );
  return supervising({ ...OPTIONS, exec, workers: 1, waitReady: true }, async supervision => {
    const { pid } = await supervision.report('listening');
    assert.equal((await supervision.call('status')).value.workers[0].state, 'booting');
    process.kill(pid, 'SIGUSR2');
    await supervision.report('ready');
  });
});

test('a worker that is killed is replaced', () =>
  supervising(OPTIONS, async supervision => {
    await supervision.port();
    const [victim] = pids(await supervision.call('status'));
    process.kill(victim, 'SIGKILL');
    const { slot } = await supervision.report('exited', { pid: victim, signal: 'SIGKILL', expected: false });
    await supervision.report('ready', { slot, worker: 3 });
  }));

test('scale(): up and down', () =>
  supervising({ ...OPTIONS, workers: 1 }, async supervision => {
    await supervision.port();
    assert.deepEqual(await supervision.call('scale', 3), { value: { workers: 3 } });
    assert.equal(pids(await supervision.call('status')).length, 3);
    assert.deepEqual(await supervision.call('scale', 1), { value: { workers: 1 } });
    assert.equal(pids(await supervision.call('status')).length, 1);
    assert.equal((await supervision.call('scale', 0)).error.code, 'ERR_RUST_CLUSTER_BAD_OPTION');
  }));

test('a reload keeps the number of workers that scale() has set', () =>
  supervising({ ...OPTIONS, workers: 1 }, async supervision => {
    await supervision.port();
    await supervision.call('scale', 2);
    assert.deepEqual(await supervision.call('reload'), { value: { replaced: 2 } });
  }));

test('a program that never starts ends the supervisor, with its code', context => {
  const exec = path.join(folderFor(context), 'app.js');
  fs.writeFileSync(exec, 'process.exit(7);');
  return supervising({ ...OPTIONS, exec }, async supervision => {
    assert.deepEqual(await supervision.exit, [7, null]);
    await supervision.until('its last word', () => supervision.finished === 7);
  });
});

test('stop(): what is under way is answered, and then all end', () =>
  supervising(OPTIONS, async supervision => {
    const port = await supervision.port();
    const before = pids(await supervision.call('status'));
    const { response } = await hold(supervision, port);
    supervision.call('stop');
    await supervision.report('draining', { slot: 1 });
    for (const pid of before) signal(pid, 'SIGUSR2');
    assert.equal((await response).body, 'released');
    assert.deepEqual(await supervision.exit, [0, null]);
    for (const pid of before) await untilGone(pid);
  }));

test('stop(): what is under way at the deadline is cut off, and the code says so', () =>
  supervising({ ...OPTIONS, drain: 300, killTimeout: 200 }, async supervision => {
    const port = await supervision.port();
    const { response } = await hold(supervision, port);
    supervision.call('stop');
    await assert.rejects(response, { code: 'ECONNRESET' });
    assert.deepEqual(await supervision.exit, [3, null]);
  }));

test('stop() again ends all at once', () =>
  supervising({ ...OPTIONS, drain: '1h' }, async supervision => {
    const port = await supervision.port();
    const { response } = await hold(supervision, port);
    supervision.call('stop');
    await supervision.report('draining', { slot: 1 });
    supervision.call('stop');
    await assert.rejects(response, { code: 'ECONNRESET' });
    await supervision.exit;
  }));

test('stop() while a reload runs ends it, and all workers', context =>
  supervisingFile(context, async (supervision, exec) => {
    // A release that is never ready.
    fs.writeFileSync(exec, 'setInterval(() => {}, 1000);');
    const reload = supervision.call('reload');
    await supervision.report('replacing');
    supervision.call('stop');
    assert.equal((await reload).error.code, 'ERR_RUST_CLUSTER_RELOAD_FAILED');
    assert.deepEqual(await supervision.exit, [0, null]);
    for (const { pid } of supervision.reports.filter(({ event }) => event === 'forked')) await untilGone(pid);
  }));

for (const step of ['forked', 'ready', 'reload-started', 'replacing', 'replaced', 'draining']) {
  test(`a supervisor that is killed at '${step}' leaves no worker behind`, () =>
    supervising(OPTIONS, async supervision => {
      if (!['forked', 'ready'].includes(step)) {
        await supervision.port();
        supervision.call('reload');
      }
      await supervision.report(step);
      supervision.process.kill('SIGKILL');
      await supervision.close;
      const forked = supervision.reports.filter(({ event }) => event === 'forked');
      assert.ok(forked.length > 0);
      for (const { pid } of forked) await untilGone(pid);
    }));
}

test('a release behind a symbolic link, its folder and its environment are looked up anew at a reload', context => {
  const folder = folderFor(context);
  const link = path.join(folder, 'current');
  for (const release of ['1', '2']) {
    fs.mkdirSync(path.join(folder, release));
    fs.writeFileSync(path.join(folder, release, '.env'), `RELEASE=${release}\n`);
    fs.writeFileSync(
      path.join(folder, release, 'app.js'),
      `const told = [__dirname, process.cwd(), process.env.RELEASE].join();
      require('node:http').createServer((request, response) => response.end(told)).listen(0, '127.0.0.1');`,
    );
  }
  const point = release => {
    fs.symlinkSync(release, `${link}.new`);
    fs.renameSync(`${link}.new`, link);
  };
  const real = release => [...new Array(2).fill(path.join(fs.realpathSync(folder), release)), release].join();
  point('1');
  const options = { ...OPTIONS, exec: 'app.js', envFile: '.env', workers: 1 };
  const told = async supervision => (await get(await supervision.port())).body;
  // As a shell that has gone there by its name.
  const surroundings = { cwd: link, env: { PWD: link } };
  return supervising(
    options,
    async supervision => {
      assert.equal(await told(supervision), real('1'));
      point('2');
      await supervision.call('reload');
      assert.equal(await told(supervision), real('2'));
    },
    surroundings,
  );
});

test('options that are asked for anew: what is wrong with them fails the reload alone', context => {
  const file = path.join(folderFor(context), 'options.json');
  const write = options => fs.writeFileSync(file, JSON.stringify({ ...OPTIONS, execArgv: [], ...options }));
  write({ workers: 1, env: { KIND: 'http' } });
  return supervising({ file }, async supervision => {
    const port = await supervision.port();
    write({ workers: -1 });
    assert.equal((await supervision.call('reload')).error.code, 'ERR_RUST_CLUSTER_BAD_OPTION');
    assert.equal((await get(port)).status, 200);
    write({ workers: 2 });
    assert.deepEqual(await supervision.call('reload'), { value: { replaced: 2 } });
    assert.equal((await supervision.call('status')).value.wanted, 2);
  });
});

test('options that are wrong at the start are thrown, and reject `finished`', context => {
  const { supervise } = require('../../supervisor');
  assert.throws(() => supervise({}), { code: 'ERR_RUST_CLUSTER_BAD_OPTION' });
  assert.throws(() => supervise({ exec: HTTP, drian: 1 }), {
    code: 'ERR_RUST_CLUSTER_UNKNOWN_OPTION',
    message: /drain/,
  });
  const file = path.join(folderFor(context), 'options.json');
  fs.writeFileSync(file, '{}');
  return supervising({ file }, async supervision => {
    assert.deepEqual(await supervision.exit, [1, null]);
    await supervision.until('its last word', () => supervision.refused === 'ERR_RUST_CLUSTER_BAD_OPTION');
  });
});

test('a worker that is told to end by a signal leaves, and is replaced', context => {
  // The only worker's successor has no port to find again.
  const socketPath = path.join(folderFor(context), 'socket');
  const options = { ...OPTIONS, workers: 1, env: { SOCKET: socketPath } };
  return supervising(options, async supervision => {
    const { addresses } = await supervision.report('all-ready');
    assert.deepEqual(addresses, [socketPath]);
    const [pid] = pids(await supervision.call('status'));
    const { response } = await hold(supervision, undefined, { socketPath });
    process.kill(pid, 'SIGTERM');
    await supervision.until('draining', () => supervision.stdout.includes(`draining ${pid}`));
    process.kill(pid, 'SIGUSR2');
    assert.equal((await response).body, 'released');
    await supervision.report('ready', { worker: 2 });
  });
});

// Ctrl+C and systemd signal the workers as well as the supervisor, and it may be that the supervisor's word comes first.
test('stop(): a worker that gets the same signal as its supervisor, and later, cuts nothing off', () =>
  supervising(
    { ...OPTIONS, workers: 1, drain: '1h', env: { SIGNAL_AT_DRAINING: 'SIGINT' } },
    async supervision => {
      const port = await supervision.port();
      const { response } = await hold(supervision, port);
      const [pid] = pids(await supervision.call('status'));
      supervision.call('stop');
      await supervision.until('draining', () => supervision.stdout.includes(`draining ${pid}`));
      process.kill(pid, 'SIGUSR2');
      assert.equal((await response).body, 'released');
      assert.deepEqual(await supervision.exit, [0, null]);
    },
  ));

for (const [when, env] of [
  ['that was signalled with its group', { SIGNAL_AT_DRAINING: 'SIGTERM' }],
  ['that was not', {}],
])
  test(`stop(): at the deadline a worker ${when} ends with SIGTERM`, () =>
    supervising({ ...OPTIONS, workers: 1, drain: 500, killTimeout: '1h', env }, async supervision => {
      const port = await supervision.port();
      const { response } = await hold(supervision, port);
      supervision.call('stop');
      await assert.rejects(response, { code: 'ECONNRESET' });
      await supervision.report('exited', { signal: 'SIGTERM' });
      assert.deepEqual(await supervision.exit, [3, null]);
    }));

test('a worker that is not ready in time ends with SIGTERM', context => {
  const exec = path.join(folderFor(context), 'app.js');
  fs.writeFileSync(exec, 'setInterval(() => {}, 1000);');
  const options = { ...OPTIONS, exec, workers: 1, readyTimeout: 500, killTimeout: '1h' };
  return supervising(options, async supervision => {
    await supervision.report('exited', { signal: 'SIGTERM' });
    assert.deepEqual(await supervision.exit, [1, null]);
  });
});

test('a program that knows SIGINT only gets it', () =>
  supervising({ ...OPTIONS, workers: 1, drain: 200, env: { ONLY_SIGINT: '1' } }, async supervision => {
    const port = await supervision.port();
    // It keeps the worker until the deadline.
    const { response } = await hold(supervision, port);
    supervision.call('stop');
    await assert.rejects(response);
    await supervision.report('exited', { code: 0 });
    await supervision.until('its word', () => supervision.stdout.includes('SIGINT'));
  }));

test('a program that ignores SIGTERM is killed', () =>
  supervising(
    { ...OPTIONS, workers: 1, drain: 200, killTimeout: 200, env: { IGNORE: '1' } },
    async supervision => {
      const port = await supervision.port();
      const { response } = await hold(supervision, port);
      supervision.call('stop');
      await assert.rejects(response);
      await supervision.report('exited', { signal: 'SIGKILL' });
      assert.deepEqual(await supervision.exit, [3, null]);
    },
  ));
