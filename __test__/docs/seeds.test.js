'use strict';

// The code blocks of the source documents themselves, unchanged, under `node -r rust-cluster/register`.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { assertConversation } = require('../support/conversation');
const differences = require('../support/differences');
const { freePort } = require('../support/free-port');
const { bodiesOf, get } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');

const ROOT = path.resolve(__dirname, '..', '..');
const SEEDS = path.resolve(ROOT, '..', 'shared', 'seeds');
const NODE_ARGS = way === 'rust' ? ['--require', path.join(ROOT, 'register.js')] : [];

const MOVED_PORT = path.join(__dirname, '..', 'support', 'moved-port.js');

const numCPUs = os.cpus().length;

const IN_PRIMARY = {
  before: "const cluster = require('cluster');\nif (cluster.isMaster) {\n",
  after: '\n}\n',
};
const CLEAN_END = { code: 0, signal: null };
const OUTPUT = 'the output of a program, not a program';
const NODE_SOURCE = "an excerpt of Node's own source";

/**
 * Every code block of every document, in the document's order. A block with `notRun` has the reason there;
 * any other one is run:
 *
 * - `has`: a piece of the block, so that the table cannot slip against the document.
 * - `name`: the file's name, where another block refers to it.
 * - `before`, `after`: what makes a fragment a program. A block without them is complete.
 * - `port`: the fixed port that it names. It listens on another one, which `check` has as `this.port`.
 * - `env`, `exits`, `stderr`: see support/program.js.
 * - `check`: does the program do what its document says?
 *
 * @type {Record<string, object[]>}
 */
const DOCUMENTS = {
  '000': [
    {
      has: '.listen(0)',
      title: 'three workers share a random port',
      async check(program) {
        const listening = await program.events('listening', 3);
        await program.lines(/^工作进程 \d+ 已启动$/, 3);
        const ports = new Set(listening.map(({ address }) => address.port));
        assert.equal(ports.size, 1);
        assert.deepEqual(await get([...ports][0]), { status: 200, body: 'hello world' });
      },
    },
    {
      has: 'console.log(1111, cluster.workers)',
      title: "cluster.workers is printed at 'disconnect'",
      ...IN_PRIMARY,
      exits: ['SIGTERM'],
      async check(program) {
        const [{ pid }] = await program.events('online');
        process.kill(pid, 'SIGTERM');
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.equal(program.stdout[0], '1111 {');
        assert.match(program.stdout[1], /^ {2}'1': .*Worker \{$/);
      },
    },
    {
      has: "// 1111 null 'SIGTERM'",
      title: "'exit' tells the signal",
      ...IN_PRIMARY,
      exits: ['SIGTERM'],
      async check(program) {
        const [{ pid }] = await program.events('online');
        process.kill(pid, 'SIGTERM');
        assert.deepEqual(await program.end(), CLEAN_END);
        // Since Node 12 console.log does not quote a string after a number.
        assert.deepEqual(program.stdout, ['1111 null SIGTERM']);
      },
    },
    {
      has: 'process.send({',
      title: 'a message to the primary',
      port: 8000,
      async check(program) {
        await program.lines(/^1111 \{ test: 1 \}$/);
        await program.lines(/^工作进程 \d+ 已启动$/);
        await program.events('listening');
        assert.deepEqual(await get(this.port), { status: 200, body: '你好世界\n' });
      },
    },
    {
      has: 'work.send({',
      title: 'a message to the worker',
      port: 8000,
      async check(program) {
        await program.lines(/^\[ \{ test: 1 \}, undefined \]$/);
        await program.lines(/^工作进程 \d+ 已启动$/);
        await program.events('listening');
        assert.deepEqual(await get(this.port), { status: 200, body: '你好世界\n' });
        await program.lines(/^undefined$/);
      },
    },
    {
      has: "clearTimeout('disconnect')",
      title: 'worker.disconnect()',
      ...IN_PRIMARY,
      exits: [0],
      async check(program) {
        // Its end shows too that worker.kill() of a dead worker does no harm: the timer is never cleared.
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.deepEqual(program.stdout, ['已关闭']);
      },
    },
    {
      has: '// 已退出 [ 0, null ]',
      title: "'disconnect' before 'exit'",
      ...IN_PRIMARY,
      exits: [0],
      async check(program) {
        await program.lines(/^已退出/);
        assert.deepEqual(program.stdout, ['已关闭', '已退出 [ 0, null ]']);
      },
    },
  ],
  '001': [
    {
      has: "exec('ls -c'",
      title: 'child_process.exec()',
      async check(program) {
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.match(program.stdout[0], /^Child Process STDOUT: /);
        assert.ok(program.stdout.includes('main.js'));
      },
    },
    {
      has: "exec('ls')",
      title: 'child_process.exec() and its streams',
      async check(program) {
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.ok(program.stdout.includes('main.js'));
        assert.equal(program.stdout.at(-1), 'closing code: 0');
      },
    },
    {
      has: 'execFile(',
      title: 'child_process.execFile()',
      async check(program) {
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.ok(program.stdout.includes('main.js'));
      },
    },
    {
      has: "spawn('ls', ['-c']",
      title: 'child_process.spawn()',
      async check(program) {
        assert.deepEqual(await program.end(), CLEAN_END);
        assert.ok(program.stdout.includes('main.js'));
        assert.equal(program.stdout.at(-1), 'closing code: 0');
      },
    },
    {
      has: 'child_process.fork(',
      name: 'main.js',
      title: 'child_process.fork()',
      async check(program) {
        await program.lines(/^子进程收到消息 \{ hello: 'world' \}$/);
        await program.lines(/^主线程收到消息 \{ foo: 'bar' \}$/);
      },
    },
    { has: "foo: 'bar'", name: 'child.js', notRun: 'main.js runs it' },
    {
      has: '// 出错之后',
      title: 'a worker that disconnects ends with code 0',
      before: "const cluster = require('cluster');\n",
      exits: [0],
      async check(program) {
        assert.deepEqual(await program.end(), CLEAN_END);
      },
    },
    {
      has: 'clsuter.fork()',
      title: "the guard forks on 'exit' and on 'disconnect'",
      before: `${IN_PRIMARY.before}const clsuter = cluster;\ncluster.fork();\n`,
      after: IN_PRIMARY.after,
      exits: ['SIGKILL'],
      async check(program) {
        const [{ pid }] = await program.events('online');
        process.kill(pid, 'SIGKILL');
        await program.events('online', 3);
      },
    },
    {
      has: "worker.send('hi there')",
      title: 'a worker echoes what the primary sends',
      async check(program) {
        await program.lines(/^msg: hi there from worker#1$/);
      },
    },
  ],
  '002': [
    {
      has: '// Fork workers.',
      title: 'a worker a CPU on one port, with NODE_DEBUG=cluster',
      port: 8000,
      env: { NODE_DEBUG: 'cluster' },
      exits: ['SIGTERM'],
      // What follows the death of a worker, which the document does not show, is free.
      stderr: /^\d+,Master Worker \d+ /,
      async check(program) {
        const workers = await program.events('listening', numCPUs);
        const online = workers.map(({ pid }) => `${program.pid},Master Worker ${pid} online`);
        assert.deepEqual(program.stderr.toSorted(), differences.debugLines ? online.sort() : []);
        assert.deepEqual(await get(this.port), { status: 200, body: 'hello world\n' });

        const [{ pid }] = workers;
        process.kill(pid, 'SIGTERM');
        await program.lines(new RegExp(`^worker ${pid} died$`));
      },
    },
    { has: 'NODE_DEBUG=cluster node server.js', notRun: `${OUTPUT}: block 1 checks it` },
  ],
  '003': [
    {
      has: "res.end('Hey guys')",
      title: 'a worker a CPU on one port',
      port: 8080,
      async check(program) {
        await program.events('listening', numCPUs);
        assert.deepEqual(await get(this.port), { status: 200, body: 'Hey guys' });
      },
    },
    {
      has: 'restarting...',
      title: 'a new worker for each that died',
      ...IN_PRIMARY,
      before: `${IN_PRIMARY.before}cluster.fork();\n`,
      exits: ['SIGTERM'],
      async check(program) {
        const [{ pid }] = await program.events('online');
        process.kill(pid, 'SIGTERM');
        await program.lines(new RegExp(`^worker ${pid} died \\(SIGTERM\\)\\. restarting\\.\\.\\.$`));
        await program.events('online', 2);
      },
    },
    { has: 'function createWorkerProcess', notRun: NODE_SOURCE },
    { has: 'Server.prototype.listen', notRun: NODE_SOURCE },
    { has: 'cluster._getServer = function', notRun: NODE_SOURCE },
    { has: 'RoundRobinHandle.prototype.handoff', notRun: NODE_SOURCE },
    { has: 'cluster._setupWorker = function', notRun: NODE_SOURCE },
  ],
  '004': [
    {
      has: 'master start...',
      title: 'case 1: the same address for every worker',
      exits: ['SIGTERM'],
      async check(program) {
        const table = await program.lines(/^listening: worker (\d+), Address: (\S+):(\d+)$/, numCPUs);
        const [[, pid, , port]] = table;
        assert.equal(program.stdout[0], 'master start...');
        assert.equal(new Set(table.map(([, , address, port]) => `${address}:${port}`)).size, 1);
        assert.deepEqual(await get(Number(port)), { status: 200, body: 'hello world \n' });
        process.kill(Number(pid), 'SIGTERM');
        await program.lines(new RegExp(`^worker ${pid} died$`));
      },
    },
    { has: 'listening: worker 17379', notRun: OUTPUT },
    { has: 'cluster.setttings', notRun: 'a list of properties, functions and events' },
    {
      has: '{master} ',
      title: 'case 2: the primary and its workers talk to each other',
      async check(program) {
        await program.lines(/^\{master\} message \{worker\} worker\d+ received!$/, 2 * numCPUs);
        assert.equal(program.stdout[0], '{master} start master...');
        for (let id = 1; id <= numCPUs; id++) assertConversation(program.stdout, id);
      },
    },
    { has: '{master} start master...', notRun: OUTPUT },
    {
      has: "console.log('worker'+cluster.worker.id)",
      title: 'case 3: the workers answer in turn',
      port: 3000,
      async check(program) {
        const workers = await program.events('listening', numCPUs);
        await program.lines(/^\[worker\] start worker \.\.\.\d+$/, numCPUs);
        const table = await program.lines(
          new RegExp(`^\\[master\\] listening: worker\\d+,pid:\\d+, Address:\\S+:${this.port}$`),
          numCPUs,
        );
        assert.equal(program.stdout[0], '[master] start master...');
        assert.equal(table.length, numCPUs);

        assert.deepEqual(
          await bodiesOf(numCPUs, this.port),
          workers.map(({ id, pid }) => `worker${id},PID:${pid}`).sort(),
        );
        await program.lines(/^worker\d+$/, numCPUs);
      },
    },
    { has: 'node server.js', notRun: OUTPUT },
    { has: 'curl 192.168.1.20:3000', notRun: OUTPUT },
    {
      has: 'node load-blance.js',
      notRun: 'a command line: case 3 again, under load (see document-004.test.js)',
    },
    { has: 'siege -c 50', notRun: OUTPUT },
    { has: 'tail server.log', notRun: OUTPUT },
    { has: 'worker1:1559', notRun: OUTPUT },
  ],
};

/** The contents of the fenced blocks of a document, unchanged. */
function codeBlocks(text) {
  const fenced = /^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$/gms;
  return Array.from(text.matchAll(fenced), ([, block]) => block);
}

function runDocuments() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-seeds-'));
  after(() => fs.rmSync(folder, { recursive: true }));

  const files = new Map(fs.readdirSync(SEEDS).map(name => [name.slice(0, 3), path.join(SEEDS, name)]));
  test('every document is in the table', () => {
    assert.deepEqual([...files.keys()].sort(), Object.keys(DOCUMENTS));
  });

  for (const [number, entries] of Object.entries(DOCUMENTS)) {
    const blocks = codeBlocks(fs.readFileSync(files.get(number), 'utf8'));
    test(`document ${number}: every block is in the table`, () => {
      assert.equal(blocks.length, entries.length);
      for (const [index, { has }] of entries.entries()) assert.ok(blocks[index].includes(has), has);
    });

    fs.mkdirSync(path.join(folder, number));
    const programs = entries.map(({ name, before = '', after = '' }, index) => {
      const file = path.join(folder, number, name ?? `block-${index + 1}.js`);
      fs.writeFileSync(file, before + blocks[index] + after);
      return file;
    });

    for (const [index, entry] of entries.entries()) {
      if (entry.notRun) continue;
      test(`document ${number}, block ${index + 1}: ${entry.title}`, async () => {
        const { env, exits, stderr } = entry;
        const options = { nodeArgs: NODE_ARGS, env, exits, stderr };
        if (!entry.port) return run(programs[index], options, program => entry.check(program));
        // Somebody else may have its own.
        const port = await freePort();
        options.nodeArgs = [...NODE_ARGS, '--require', MOVED_PORT];
        options.env = { ...env, MOVED: `${entry.port} ${port}` };
        return run(programs[index], options, program => entry.check.call({ port }, program));
      });
    }
  }
}

if (fs.existsSync(SEEDS)) runDocuments();
else test('the source documents', { skip: `${path.relative(ROOT, SEEDS)} is not there` });
