'use strict';

// How the connections of a worker end that is replaced: none with a request that is not answered.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { test } = require('node:test');
const { supervising, program } = require('./supervision');

const OPTIONS = { exec: program('http.js'), workers: 1, drain: '20s', stuck: 0 };
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
    while (!this.ended) await once(this.socket, 'look');
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

test('idle connections end, and a request of which half the head has come is answered', () => {
  let idle;
  return replaced(
    { drain: 6000, env: { KEEP_ALIVE: '60000' } },
    async (connection, port) => {
      connection.write(REQUEST.slice(0, 20));
      idle = new Connection(port);
      idle.write(REQUEST);
      await idle.answered(1);
    },
    async connection => {
      // The older one would be the first to end, if it were idle.
      await idle.end();
      connection.write(REQUEST.slice(20));
      await connection.end();
      assert.match(connection.text, /200 OK[\s\S]*Connection: close/);
    },
  );
});

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
