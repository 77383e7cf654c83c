'use strict';

// The deployments of docs/deploy.md, as far as a test can have them: the command as the first process of a container, and
// beneath a service manager that opens its socket and hears what becomes of it.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { Child } = require('../support/child');
const { freePort } = require('../support/free-port');
const { send } = require('../support/http');
const { manager } = require('../support/manager');
const proc = require('../support/proc');
const way = require('../support/way');

const COMMAND = path.join(__dirname, '..', '..', 'bin', 'rust-cluster.js');
const PROGRAM = path.join(__dirname, 'programs', 'deployed.js');

/** The command; a line of its output is an event, or another program's word. */
class Command extends Child {
  events = [];
  words = [];

  constructor(port, { under, env }) {
    super([COMMAND, '--workers', '2', '--no-control', '--log-format', 'json', PROGRAM], {
      under,
      env: { PORT: port, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.take(this.process.stderr, line => {
      if (line.startsWith('{')) this.events.push(JSON.parse(line));
      else this.words.push(line);
    });
    this.exit.then(end => this.fail(`it ended (${end})`));
  }

  event(name) {
    return this.until(name, () => this.events.find(({ event }) => event === name));
  }

  word(pattern) {
    return this.until(`${pattern}`, () => this.words.find(word => pattern.test(word)));
  }

  story() {
    return [...this.words, ...this.events.map(each => JSON.stringify(each))].join('\n');
  }
}

/** A request that is under way until `end()` is called. */
async function underWay(port) {
  const { request, response } = send(port, { method: 'POST' });
  request.flushHeaders();
  await once(request, 'response');
  return { end: () => request.end(), response };
}

const FINISHED = { status: 200, body: 'begun, and finished' };

const node = way === 'node' && "Node's cluster has no command";

const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const [file, ...args] = NAMESPACE;
const noNamespace = spawnSync(file, [...args, 'true']).status !== 0 && 'no PID namespace can be made here';

test('process 1 of a container leaves no zombie, finishes what is under way, and ends with 0', {
  skip: node || noNamespace,
  timeout: 120_000,
}, async () => {
  const port = await freePort();
  const command = new Command(port, { under: NAMESPACE });
  try {
    await command.event('all-ready');
    const [first] = proc.children(command.pid);
    // Two were left to it before the workers listened. There is no event of their end.
    while (proc.zombies(first) > 0) await sleep(20);
    const request = await underWay(port);
    proc.signal(first, 'SIGTERM');
    await command.event('draining');
    request.end();
    assert.deepEqual(await request.response, FINISHED);
    assert.deepEqual(await command.exit, [0, null]);
  } finally {
    await command.stop();
  }
});

const ACTIVATE = 'systemd-socket-activate';
const noActivation =
  spawnSync(ACTIVATE, ['--version']).status !== 0 && `there is no ${ACTIVATE} here (package systemd)`;

test(`beneath ${ACTIVATE}, with a service manager that listens`, {
  skip: node || noActivation,
  timeout: 120_000,
}, async () => {
  const port = await freePort();
  const heard = await manager();
  const pass = ['PORT', 'PATH', 'NOTIFY_SOCKET'].flatMap(name => ['-E', name]);
  const under = [ACTIVATE, '-l', `127.0.0.1:${port}`, ...pass];
  const command = new Command(port, { under, env: { NOTIFY_SOCKET: heard.name } });
  try {
    await command.word(/Listening on/);
    const request = await underWay(port);
    let line = await heard.next();
    while (line.startsWith('STATUS=')) line = await heard.next();
    assert.equal(line, `READY=1|MAINPID=${command.pid}|STATUS=2 of 2 workers ready`);
    proc.signal(command.pid, 'SIGTERM');
    assert.equal(await heard.next(), 'STOPPING=1|STATUS=stopping');
    request.end();
    assert.deepEqual(await request.response, FINISHED);
    assert.deepEqual(await command.exit, [0, null]);
  } finally {
    await command.stop();
    heard.stop();
  }
});
