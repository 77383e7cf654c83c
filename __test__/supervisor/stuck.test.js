'use strict';

// Workers that are stuck, and limits that workers pass.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { supervising, folderFor, untilGone } = require('./supervision');

/** With a program of its own. */
function supervisingSource(context, source, options, body) {
  const exec = path.join(folderFor(context), 'app.js');
  fs.writeFileSync(exec, source);
  return supervising({ exec, workers: 2, drain: '5s', killTimeout: 500, ...options }, body);
}

const STUCK = `require('node:http').createServer((request, response) => {
  if (request.url === '/loop') for (;;) {}
  if (request.url === '/wait') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  response.end();
}).listen(0, '127.0.0.1');`;

for (const [url, doing] of [
  ['/loop', /^runs code that does not come to an end/],
  ['/wait', /^waits in the kernel/],
]) {
  test(`a worker that is stuck (${url}) is reported with what it does, and replaced, the new one first`, context =>
    supervisingSource(context, STUCK, { stuckReport: '1s', stuck: '4s' }, async supervision => {
      const port = await supervision.port();
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`);
      // On a busy machine another one may be reported as well; it turns again.
      const { old: worker, worker: successor } = await supervision.report('replaced', { cause: 'stuck' });
      const { doing: found } = await supervision.report('stuck-at', { worker });
      assert.match(found, doing);
      assert.ok(successor > 2);
      const { expected } = await supervision.report('exited', { worker });
      assert.equal(expected, true);
      socket.destroy();
    }));
}

test('a supervisor that is killed leaves no worker behind that is stuck', context =>
  supervisingSource(context, STUCK, { workers: 1, stuckReport: '1s', stuck: 0 }, async supervision => {
    const socket = net.connect(await supervision.port(), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /loop HTTP/1.1\r\nHost: x\r\n\r\n');
    const { pid } = await supervision.report('stuck');
    supervision.process.kill('SIGKILL');
    await untilGone(pid);
    socket.destroy();
  }));

test('maxMemory: a worker that grows beyond it is replaced, the new one first', context => {
  const source = `require('node:net').createServer().listen(0);
    const kept = [];
    process.on('SIGUSR2', () => kept.push(Buffer.alloc(150 * 1024 * 1024, 1)));`;
  return supervisingSource(
    context,
    source,
    { workers: 1, maxMemory: '120M', jitter: 0 },
    async supervision => {
      const { pid } = await supervision.report('ready');
      // One that was over the limit from its first sample on would be left alone.
      const sampled = async () => (await supervision.call('status')).value.workers[0].memory > 0;
      while (!(await sampled()));
      process.kill(pid, 'SIGUSR2');
      await supervision.report('replaced', { cause: 'memory', old: 1 });
    },
  );
});

test('maxConnections: a worker that has taken more is replaced', context => {
  const source = `require('node:net').createServer(socket => socket.end()).listen(0, '127.0.0.1');`;
  return supervisingSource(
    context,
    source,
    { workers: 1, maxConnections: 5, jitter: 0 },
    async supervision => {
      const port = await supervision.port();
      for (let count = 0; count < 8; count++) {
        await new Promise(resolve => net.connect(port, '127.0.0.1').resume().on('close', resolve));
      }
      await supervision.report('replaced', { cause: 'connections', old: 1 });
    },
  );
});
