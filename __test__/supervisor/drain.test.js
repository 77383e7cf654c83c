'use strict';

// How the connections of a worker end that is replaced: none with a request that is not answered.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { run } = require('../support/program');
const { supervising, program } = require('./supervision');

/** Nothing here takes as long as there is, on no machine. */
const OPTIONS = { exec: program('http.js'), workers: 1, drain: '10m', stuck: 0 };
const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

/** A connection, and all that came on it. */
class Connection {
  text = '';
  ended = false;

  constructor(port) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1');
    this.socket.on('data', chunk => {
      this.text += chunk;
      this.socket.emit('look');
    });
    this.socket.on('close', () => {
      this.ended = true;
      this.socket.emit('look');
    });
    this.socket.on('error', () => {});
  }

  write(text) {
    this.socket.write(text);
  }

  async until(holds) {
    while (!holds()) {
      if (this.ended) throw new Error(`the connection has ended after ${JSON.stringify(this.text)}`);
      await once(this.socket, 'look');
    }
  }

  get answers() {
    return this.text.split('HTTP/1.1 200 OK').length - 1;
  }

  answered(count) {
    return this.until(() => this.answers >= count && this.text.split('\r\n\r\n').length > count);
  }

  async end() {
    while (!this.ended) await once(this.socket, 'look', { signal: AbortSignal.timeout(120_000) });
  }
}

/** With a kept-alive connection to a worker that is replaced meanwhile. */
function replaced(options, prepare, body) {
  return supervising({ ...OPTIONS, ...options }, async supervision => {
    const port = await supervision.port();
    const { pid } = await supervision.report('ready');
    const connection = new Connection(port);
    try {
      connection.write(REQUEST);
      await connection.answered(1);
      assert.match(connection.text, /Connection: keep-alive/);
      connection.text = '';
      await prepare(connection, port);
      assert.deepEqual(await supervision.call('reload'), { value: { replaced: 1 } });
      await supervision.until('draining', () => supervision.stdout.includes(`draining ${pid}`));
      await body(connection, { supervision, pid, port });
      await supervision.report('exited', { pid });
      assert.deepEqual(
        supervision.reports.filter(({ event }) => event === 'deadline'),
        [],
      );
    } finally {
      connection.socket.destroy();
    }
  });
}

test('the next answer on a kept-alive connection says that it is the last', () =>
  replaced(
    { env: { KEEP_ALIVE: '60000' } },
    () => {},
    async connection => {
      connection.write(REQUEST);
      await connection.answered(1);
      await connection.end();
      assert.match(connection.text, /Connection: close/);
    },
  ));

test('an answer that is under way says so', () =>
  replaced(
    { env: { KEEP_ALIVE: '60000' } },
    async (connection, port) => {
      connection.write('GET /hold/x HTTP/1.1\r\nHost: x\r\n\r\n');
      const other = new Connection(port);
      other.write(REQUEST);
      await other.answered(1);
      other.socket.destroy();
    },
    async (connection, { pid }) => {
      process.kill(pid, 'SIGUSR2');
      await connection.end();
      assert.match(connection.text, /Connection: close[\s\S]*released$/);
    },
  ));

/** Twenty times more a worker looks which connections are idle: one that it takes for idle ends, and the test fails. */
const looks = () => new Promise(resolve => setTimeout(resolve, 500));

/** As `replaced`: `body` comes when a second connection, which is idle, was ended. */
function beside(prepare, body) {
  let idle;
  return replaced(
    // Half of it goes by before any idle connection is ended.
    { drain: 12_000, env: { KEEP_ALIVE: '60000' } },
    async (connection, port) => {
      prepare(connection);
      idle = new Connection(port);
      idle.write(REQUEST);
      await idle.answered(1);
    },
    async connection => {
      await idle.end();
      await looks();
      await body(connection);
    },
  );
}

test('idle connections end, and a request of which half the head has come is answered', () =>
  beside(
    connection => connection.write(REQUEST.slice(0, 20)),
    async connection => {
      connection.write(REQUEST.slice(20));
      await connection.end();
      assert.match(connection.text, /200 OK[\s\S]*Connection: close/);
    },
  ));

test('requests that were sent together are all answered', () =>
  replaced(
    { env: { KEEP_ALIVE: '60000' } },
    () => {},
    async connection => {
      connection.write(REQUEST.repeat(5));
      await connection.end();
      assert.equal(connection.answers, 5);
      assert.equal(connection.text.match(/Connection: close/g).length, 1);
    },
  ));

const CHUNKED = 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';

for (const [what, request] of [
  ['known', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'],
  ['unknown', CHUNKED],
])
  test(`the answer to a body of ${what} length that came with its head and is not read says that it is the last`, () =>
    replaced(
      { env: { KEEP_ALIVE: '60000' } },
      () => {},
      async (connection, { supervision, pid }) => {
        connection.write(request.replace('/echo', '/hold/x'));
        await supervision.until('the request', () => supervision.stdout.includes(`held ${pid}`));
        process.kill(pid, 'SIGUSR2');
        await connection.end();
        assert.match(connection.text, /Connection: close[\s\S]*released/);
      },
    ));

test('requests with bodies of unknown length that were sent together are all answered', () =>
  replaced(
    { env: { KEEP_ALIVE: '60000' } },
    () => {},
    async connection => {
      connection.write(CHUNKED.repeat(4) + REQUEST);
      await connection.answered(5);
      connection.socket.end();
    },
  ));

test('a request with a body is answered, however early', () =>
  replaced(
    { env: { KEEP_ALIVE: '60000' } },
    () => {},
    async connection => {
      connection.write('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello');
      await connection.until(() => connection.text.includes('hello'));
      connection.write('world');
      await connection.until(() => connection.text.includes('world'));
      connection.text = '';
      connection.write(REQUEST);
      await connection.end();
      assert.match(connection.text, /200 OK[\s\S]*Connection: close/);
    },
  ));

test('at the end idle connections do not keep a worker that a signal has told first', () =>
  supervising({ ...OPTIONS, drain: '1h', env: { KEEP_ALIVE: '3600000' } }, async supervision => {
    const idle = new Connection(await supervision.port());
    idle.write(REQUEST);
    await idle.answered(1);
    const { pid } = await supervision.report('ready');
    process.kill(pid, 'SIGINT');
    await supervision.until('draining', () => supervision.stdout.includes(`draining ${pid}`));
    supervision.call('stop');
    await idle.end();
    assert.deepEqual(await supervision.exit, [0, null]);
  }));

test('an answer that the client has not taken yet is not cut short', () =>
  beside(
    connection => {
      connection.socket.pause();
      connection.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n');
    },
    async connection => {
      connection.socket.resume();
      await connection.until(() => connection.text.length > 16 * 1024 * 1024);
      connection.socket.end();
    },
  ));

for (const [what, END_AT_DRAINING] of [
  ["that ends at 'draining' ends with the worker", '1'],
  ['is not ended before the deadline', ''],
]) {
  test(`a stream of events ${what}`, () =>
    supervising(
      { ...OPTIONS, drain: END_AT_DRAINING ? '10m' : 1500, env: { END_AT_DRAINING } },
      async supervision => {
        const port = await supervision.port();
        const { pid } = await supervision.report('ready');
        const connection = new Connection(port);
        connection.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
        await connection.until(() => connection.text.includes('first'));
        await supervision.call('reload');
        await connection.end();
        assert.equal(connection.text.includes('last'), Boolean(END_AT_DRAINING));
        await supervision.report('exited', { pid });
        const deadlines = supervision.reports.filter(({ event }) => event === 'deadline');
        assert.equal(deadlines.length, END_AT_DRAINING ? 0 : 1);
      },
    ));
}

for (const [KIND, scheme] of [
  ['http2', 'http'],
  ['http2s', 'https'],
]) {
  test(`${KIND}: a stream that is open is answered, and the client told to open no other`, () =>
    supervising({ ...OPTIONS, env: { KIND } }, async supervision => {
      const port = await supervision.port();
      const { pid } = await supervision.report('ready');
      const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
      const stream = session.request({ ':path': '/hold/x' });
      stream.setEncoding('utf8');
      // The answer to another one says that the first has come.
      await ends(session.request({ ':path': '/' }));
      const goaway = once(session, 'goaway');
      const closed = once(session, 'close');
      await supervision.call('reload');
      const [code, last] = await goaway;
      assert.deepEqual([code, last], [0, 2 ** 31 - 1]);
      process.kill(pid, 'SIGUSR2');
      assert.equal(await ends(stream), 'released');
      await closed;
      await supervision.report('exited', { pid });
    }));

  test(`${KIND}: a session on which nothing is asked ends`, () =>
    supervising({ ...OPTIONS, env: { KIND } }, async supervision => {
      const port = await supervision.port();
      const { pid } = await supervision.report('ready');
      const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
      await ends(session.request({ ':path': '/' }));
      const closed = once(session, 'close');
      await supervision.call('reload');
      await closed;
      await supervision.report('exited', { pid });
      assert.deepEqual(
        supervision.reports.filter(({ event }) => event === 'deadline'),
        [],
      );
    }));
}

async function ends(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

for (const [name, KIND] of [
  ['http', 'http'],
  ['https', 'https'],
  ['express', 'express'],
  ['fastify', 'fastify'],
  ['koa', 'koa'],
]) {
  test(`${name}: under load no request is lost over three reloads, on kept-alive connections and on others`, () =>
    supervising({ ...OPTIONS, workers: 2, env: { KIND, KEEP_ALIVE: '60000' } }, async supervision => {
      const port = await supervision.port();
      const scheme = KIND === 'https' ? https : http;
      let going = true;
      let answers = 0;
      const client = async keepAlive => {
        const agent = new scheme.Agent({ keepAlive, maxSockets: 1, rejectUnauthorized: false });
        for (let count = 0; going || answers < 50; count++, answers++) {
          const body = count % 3 === 0 ? 'x'.repeat(2000) : undefined;
          const answer = await ask(scheme, { agent, port, path: body ? '/echo' : '/', body });
          if (body) assert.equal(answer, body);
        }
        agent.destroy();
      };
      const clients = [true, true, true, true, true, true, false, false].map(client);
      const reloads = (async () => {
        for (let count = 0; count < 3; count++) {
          assert.deepEqual(await supervision.call('reload'), { value: { replaced: 2 } });
        }
      })();
      await Promise.race([reloads, Promise.all(clients)]);
      await reloads;
      going = false;
      await Promise.all(clients);
    }));
}

function ask(scheme, { agent, port, path, body }) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', agent, port, path, method: body ? 'POST' : 'GET' };
    const request = scheme.request(options, response => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.on('error', reject);
      ends(response.setEncoding('utf8')).then(resolve, reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

test('a worker without a supervisor has nothing of this', () =>
  run(path.join(__dirname, 'programs', 'alone.js'), { exits: [0] }, async program => {
    const [[, told]] = await program.lines(/^told (.*)$/);
    assert.deepEqual(JSON.parse(told), {
      listeners: { SIGTERM: 0, SIGINT: 0, uncaughtExceptionMonitor: 0 },
      subscribers: false,
      variables: [],
    });
  }));

test('a worker with one finds no variable of ours in its environment', () =>
  supervising({ ...OPTIONS, env: { TELL: '1' } }, async supervision => {
    await supervision.report('ready');
    const line = await supervision.until('what it tells', () =>
      supervision.stdout.find(each => each.startsWith('told ')),
    );
    assert.deepEqual(JSON.parse(line.slice('told '.length)), []);
  }));
