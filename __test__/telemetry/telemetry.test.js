'use strict';

// Metrics, health and status: from a thread of the primary, whatever the processes do.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { freePort } = require('../support/free-port');
const { run } = require('../support/program');
const { supervising, program } = require('../supervisor/supervision');
const { get } = require('../support/http');
const proc = require('../support/proc');
const way = require('../support/way');
const { ask, until, untilReady, states, samples } = require('./client');

const skip = way === 'node' && "Node's own cluster does not have it";

/** A cluster of two workers that serve, and where its telemetry and its server are. */
function cluster({ telemetry = { port: 0 }, workers = 2, env, ...options }, body) {
  const all = { WORKERS: workers, TELEMETRY: JSON.stringify(telemetry), ...env };
  return run('telemetry/programs/cluster.js', { env: all, ...options }, async program => {
    const [[, addresses]] = await program.lines(/^telemetry (.*)/);
    const [before, address] = JSON.parse(addresses);
    assert.equal(before, null);
    const [[, port]] = await program.lines(/^worker \d+ at (\d+)$/, workers);
    const where = typeof address === 'string' ? { socketPath: address } : { port: address?.port };
    await body({ program, address, where, port: Number(port) });
  });
}

const pids = async program => (await program.events('online', 2)).map(({ pid }) => pid);

test('health is what the workers do, while some, or all, or the primary do nothing', { skip }, async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const FLAG = path.join(folder, 'flag');
  await cluster({ env: { FLAG } }, async ({ program, where, port, address }) => {
    assert.deepEqual([address.address, address.family], ['127.0.0.1', 'IPv4']);
    const all = await until(where, 'both serve', status => states(status) === 'ready,ready');
    const workers = { draining: 0, ready: 2, starting: 0, stuck: 0 };
    assert.deepEqual([all.ready, all.live, all.reasons, all.states], [true, true, [], workers]);
    assert.equal((await untilReady(where)).ready, true);

    const [first, second] = await pids(program);
    process.kill(first, 'SIGSTOP');
    const one = await until(where, 'one is stuck', status => status.states.stuck === 1);
    assert.equal(one.ready, true);
    assert.match(one.reasons.join(), /^slot \d: stuck$/);
    process.kill(second, 'SIGSTOP');
    const isBusy = ({ state, lag, utilization }) => state === 'stuck' && lag > 0.5 && utilization > 0.5;
    const both = await until(where, 'both are stuck', ({ slots }) => slots.every(isBusy));
    assert.equal(both.ready, false);
    const unready = await ask(where, '/readyz');
    assert.equal(unready.status, 503);
    assert.deepEqual(JSON.parse(unready.body).reasons, ['slot 0: stuck', 'slot 1: stuck']);
    assert.equal((await ask(where, '/livez')).status, 200);
    const figures = samples((await ask(where, '/metrics')).body);
    assert.equal(figures.get('cluster_workers{state="stuck"}'), 2);
    assert.equal(figures.get('cluster_worker_up{slot="0"}'), 0);
    assert.ok(figures.get('cluster_worker_stuck_episodes_total{slot="1"}') >= 1);
    for (const pid of [first, second]) process.kill(pid, 'SIGCONT');
    await until(where, 'both serve', status => states(status) === 'ready,ready');

    await get(port, '/spin');
    const isStuck = ({ primary }) => primary.stuck && primary.lag > 1 && primary.utilization > 0.5;
    await until(
      where,
      'the primary is stuck, and the workers serve',
      status => isStuck(status) && status.ready,
    );
    const live = await ask(where, '/livez');
    assert.equal(live.status, 200);
    assert.equal(JSON.parse(live.body).primary.stuck, true);
    assert.equal((await get(port)).status, 200);
    fs.writeFileSync(FLAG, '');
    await until(where, 'the primary turns', status => !status.primary.stuck);
  });
});

test('what is counted is what happened, and stays when workers go', { skip }, async () => {
  await cluster({ exits: [0, 'SIGKILL'] }, async ({ program, where, port }) => {
    for (let count = 0; count < 20; count++) await get(port);
    // A process that was looked at as it began has next to no memory, until it is looked at again.
    const isSeen = ({ open, heap, rss }) => open === 0 && heap > 1e6 && rss > 1e7;
    const before = await until(where, 'all are closed', ({ slots }) => slots.every(isSeen));
    const sum = (status, name) => status.slots.reduce((total, slot) => total + slot[name], 0);
    // On a busy machine a worker may be stuck for a moment: what is taken back is handed again.
    const placed = status => sum(status, 'handed') - sum(status, 'taken_back');
    assert.deepEqual([sum(before, 'taken'), placed(before)], [20, 20]);
    const { accepted, handed, taken_back: takenBack, ports, take_seconds: waits } = before.acceptor;
    assert.deepEqual([accepted, handed - takenBack, waits.count], [20, 20, 20]);
    assert.deepEqual(ports, [{ address: `127.0.0.1:${port}`, accepted: 20, waiting: 0 }]);
    assert.ok(waits.sum > 0 && waits.buckets.at(-1)[1] <= 20);
    for (const { messages, generation, lag } of before.slots) {
      assert.ok(messages.received >= 3 && messages.sent >= 1 && messages.bytes_received > messages.received);
      assert.ok(generation === 1 && Number.isFinite(lag));
    }
    const [first] = await pids(program);
    process.kill(first, 'SIGKILL');
    const isHalf = ({ exits, slots }) =>
      exits.SIGKILL === 1 && `${slots.map(({ state }) => state).sort()}` === 'empty,ready';
    assert.equal((await until(where, 'one is gone, and one serves', isHalf)).ready, true);
    const asked = await get(port, '/leave');
    assert.equal(asked.status, 200);
    const none = await until(where, 'both are gone', ({ exits }) => exits.asked === 1);
    assert.equal(states(none), 'empty,empty');
    assert.equal(none.ready, false);
    assert.deepEqual([none.starts, sum(none, 'taken'), placed(none)], [2, 21, 21]);
    assert.ok(sum(none, 'busy') >= sum(before, 'busy') && sum(none, 'cpu') >= sum(before, 'cpu'));
    assert.ok(none.slots.every(({ messages }) => messages.received >= 3));
    const { accepted: all, take_seconds: waited, ports: closed } = none.acceptor;
    assert.deepEqual([all, waited.count], [21, 21]);
    assert.deepEqual(closed, [{ address: `127.0.0.1:${port}`, accepted: 21, waiting: 0 }]);
  });
});

const SUPERVISED = { exec: program('http.js'), env: { SOCKET: '' }, workers: 2, shutdownDelay: '1h' };

test('a supervisor says how far a reload has come, and that it stops', { skip }, async () => {
  const port = await freePort();
  await supervising({ ...SUPERVISED, telemetry: `127.0.0.1:${port}` }, async supervision => {
    const server = await supervision.port();
    const started = await until({ port }, 'both serve', status => states(status) === 'ready,ready');
    assert.equal(started.reload, null);
    assert.deepEqual(await supervision.call('reload'), { value: { replaced: 2 } });
    const isDone = ({ exits, reload }) => exits.asked === 2 && reload.state === 'idle';
    const reloaded = await until({ port }, 'both are replaced', isDone);
    assert.deepEqual(reloaded.reload, { state: 'idle', done: 2, of: 2 });
    assert.deepEqual(
      reloaded.slots.map(({ generation }) => generation),
      [2, 2],
    );
    supervision.call('stop');
    const stops = await until({ port }, 'it stops', ({ reasons }) => reasons.includes('stopping'));
    assert.equal(stops.ready, false);
    assert.equal((await ask({ port }, '/readyz')).status, 503);
    assert.equal((await get(server)).status, 200);
    // The second one is at once.
    supervision.call('stop');
    await supervision.until('its end', () => supervision.finished !== undefined);
  });
});

test('with waitReady a worker is ready once it has said so', { skip }, async () => {
  const port = await freePort();
  const exec = path.join(__dirname, 'programs', 'ready.js');
  await supervising({ exec, workers: 1, waitReady: true, telemetry: { port } }, async supervision => {
    const listens = () => supervision.stdout.map(line => line.match(/^listens at (\d+)$/)).find(Boolean);
    const [, server] = await supervision.until('a worker that listens', listens);
    // That it is online, that it is to listen, and that it does.
    const hasTold = status => status.slots[0]?.messages.received >= 3;
    const { ready, slots } = await until({ port }, 'it has told the primary', hasTold);
    assert.deepEqual([ready, slots[0].state], [false, 'starting']);
    await get(Number(server));
    await until({ port }, 'it is ready', status => status.ready);
  });
});

test('both formats are written, each to who asks for it', { skip }, async () => {
  await cluster({}, async ({ where, port }) => {
    await get(port);
    const plain = await ask(where, '/metrics');
    assert.equal(plain.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.match(plain.body, /^# TYPE cluster_connections_accepted_total counter\n/m);
    assert.doesNotMatch(plain.body, /# EOF/);
    const open = await ask(where, '/metrics', {
      headers: { accept: 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3' },
    });
    assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    assert.match(open.body, /^# TYPE cluster_connections_accepted counter\n/m);
    assert.match(open.body, /\n# EOF\n$/);
    // The same names of samples, whoever reads.
    const names = text => [...samples(text).keys()].sort();
    assert.deepEqual(names(open.body), names(plain.body));
    for (const accept of ['*/*', 'text/plain', 'application/openmetrics-text;q=0, */*', 'nonsense;;q'])
      assert.match((await ask(where, '/metrics', { headers: { accept } })).headers['content-type'], /^text/);
  });
});

const noPromtool = spawnSync('promtool', ['--version']).error && 'promtool, of Prometheus, is not installed';

test('promtool has nothing to say against them', { skip: skip || noPromtool }, async () => {
  await cluster({ env: { BUS: 1 } }, async ({ where, port }) => {
    await get(port);
    const { body } = await ask(where, '/metrics');
    const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], {
      input: body,
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr, stdout], [0, '', '']);
  });
});

test('the documentation has each metric, and no other', { skip }, async () => {
  await cluster({ env: { BUS: 1 } }, async ({ where, port }) => {
    await get(port);
    const { body } = await ask(where, '/metrics');
    const described = [...body.matchAll(/^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$/gm)];
    const expected = described.map(([, name, help, kind]) => `| \`${name}\` | ${kind} | ${help} |`);
    const text = fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'telemetry.md'), 'utf8');
    const written = text.match(/^\| `cluster_\w+` \| .*\|$/gm);
    assert.deepEqual(written.map(withoutLabels), expected);
  });
});

/** A line of the table, without what its labels are. */
const withoutLabels = line => line.replace(/ \(by [\w, `]+\) \|$/, ' |');

test('nobody is answered who comes by another name, and nothing can be changed', { skip }, async () => {
  const telemetry = { port: 0, hosts: ['Metrics.Example'] };
  await cluster({ telemetry }, async ({ where }) => {
    const status = async (host, options) =>
      (await ask(where, '/status', { ...options, headers: { host } })).status;
    for (const host of ['127.0.0.1', 'localhost:9464', '[::1]:1', '10.0.0.1', 'metrics.example:80'])
      assert.equal(await status(host), 200, host);
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'a@localhost@b'])
      assert.equal(await status(host), 421, host);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
      assert.equal(await status('localhost', { method }), 405, method);
    assert.equal(await status('localhost', { method: 'HEAD' }), 200);
    const { status: unknown, headers } = await ask(where, '/metrics/../etc/passwd');
    assert.equal(unknown, 404);
    assert.match(headers['content-security-policy'], /^default-src 'self';/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['access-control-allow-origin'], undefined);
  });
});

/** What a client gets that sends bytes, and reads until it is left. */
function talk({ port }, bytes) {
  return new Promise(resolve => {
    let text = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1').on('data', part => {
      text += part;
    });
    // One that is refused may be reset while it goes on sending.
    socket.on('error', () => {}).on('close', () => resolve(text));
  });
}

test('heads that are too large are refused, and what is no request', { skip }, async () => {
  await cluster({}, async ({ where }) => {
    const megabyte = 'x'.repeat(2 ** 20);
    const large = await talk(where, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${megabyte}\r\n\r\n`);
    assert.doesNotMatch(large, /^HTTP\/1.1 2/);
    assert.match(await talk(where, 'nonsense\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.match(
      await talk(where, 'GET /status HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'),
      /^HTTP\/1.1 421 /,
    );
    assert.match(await talk(where, 'GET /status HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 421 /);
    assert.match(await talk(where, 'GET /status HTTP/1.0\r\n\r\n'), /^HTTP\/1.0 200 /);
    assert.equal((await ask(where, '/livez')).status, 200);
  });
});

test('those who are silent make room for others', { skip }, async () => {
  await cluster({}, async ({ program: { pid }, where }) => {
    const count = () => Object.keys(proc.descriptors(pid)).length;
    const before = count();
    const silent = Array.from({ length: 200 }, () => net.connect(where.port, '127.0.0.1'));
    const ended = silent.map(
      socket =>
        new Promise(resolve =>
          socket
            .on('error', () => {})
            .on('close', resolve)
            .resume(),
        ),
    );
    try {
      // Each comes after all of those.
      for (let left = 20; left > 0; left--) assert.equal((await ask(where, '/livez')).status, 200);
      assert.ok(count() - before <= 70, `${count() - before} more`);
      await ended[0];
    } finally {
      for (const socket of silent) socket.destroy();
    }
  });
});

test('there may be a hundred headers in a request, and no more', { skip }, async () => {
  await cluster({}, async ({ where }) => {
    const answer = async count => {
      const others = Array.from({ length: count - 2 }, (_, number) => `X-${number}: x\r\n`).join('');
      const head = `GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${others}\r\n`;
      return (await talk(where, head)).slice(9, 12);
    };
    assert.equal(await answer(100), '200');
    assert.equal(await answer(101), '431');
  });
});

test('of those who watch there are not too many', { skip }, async () => {
  await cluster({}, async ({ where }) => {
    const watchers = [];
    const watch = () =>
      new Promise(resolve => {
        const socket = net.connect(where.port, '127.0.0.1');
        socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
        socket.once('data', bytes => resolve(`${bytes}`.slice(9, 12)));
        watchers.push(socket);
      });
    try {
      const answers = [];
      for (let count = 0; count < 17; count++) answers.push(await watch());
      assert.deepEqual(answers, [...Array(16).fill('200'), '503']);
      assert.equal((await ask(where, '/livez')).status, 200);
    } finally {
      for (const socket of watchers) socket.destroy();
    }
  });
});

/** Where a socket of the file system may be. */
function socketFile(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return path.join(folder, 'telemetry.sock');
}

test('it may be a socket of the file system, and a primary that ends by itself removes it', {
  skip,
}, async t => {
  const file = socketFile(t);
  await cluster({ telemetry: { path: file } }, async ({ program, where, address, port }) => {
    assert.equal(address, file);
    assert.equal((await ask(where, '/livez', { headers: { host: 'any.example' } })).status, 200);
    // Its end comes before the answer, or after it.
    await get(port, '/quit').catch(() => {});
    await program.end();
    assert.equal(fs.existsSync(file), false);
  });
});

test('a socket that a killed primary has left is replaced, and one that is alive is not', {
  skip,
}, async t => {
  const file = socketFile(t);
  await cluster({ telemetry: { path: file } }, async ({ program }) => {
    process.kill(program.pid, 'SIGKILL');
    await program.end();
    assert.ok(fs.lstatSync(file).isSocket());
  });
  await cluster({ telemetry: { path: file } }, async ({ program, where }) => {
    const { pid } = JSON.parse((await ask(where, '/status')).body);
    assert.equal(pid, program.pid);
    const stderr = /ERR_RUST_CLUSTER_NO_TELEMETRY|--trace-warnings/;
    await cluster({ telemetry: { path: file }, stderr }, async ({ program: other, address, port }) => {
      assert.equal(address, null);
      await get(port, '/quit').catch(() => {});
      await other.end();
    });
    assert.equal(JSON.parse((await ask(where, '/status')).body).pid, program.pid);
  });
});

test('where another one listens the cluster serves, says so, and goes on trying', { skip }, async () => {
  const other = net.createServer();
  // One that no other test gets once it is free again.
  const taken = await freePort();
  await new Promise(resolve => other.listen(taken, '127.0.0.1', resolve));
  const stderr = /ERR_RUST_CLUSTER_NO_TELEMETRY|--trace-warnings/;
  await cluster({ telemetry: { port: taken }, stderr }, async ({ program, address, port }) => {
    assert.equal(address, null);
    assert.equal((await get(port)).status, 200);
    await program.until('a warning', () => program.stderr.some(line => line.includes(`127.0.0.1:${taken}`)));
    await new Promise(resolve => other.close(resolve));
    const listens = () =>
      ask({ port: taken }, '/livez').then(
        ({ status }) => status,
        () => undefined,
      );
    let status;
    // Whether it listens is told by nothing but that.
    while (!status) status = await listens();
    assert.equal(status, 200);
  });
});
