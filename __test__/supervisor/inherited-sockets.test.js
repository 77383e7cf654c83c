'use strict';

// A worker that listens on the address of a socket that the service manager has opened gets that one.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { Child } = require('../support/child');
const { freePort } = require('../support/free-port');
const way = require('../support/way');

const PROGRAM = path.join(__dirname, 'programs', 'inherited.js');

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'inherited-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

/** The program, which has sockets from number 3 on; a line of its output is a value. */
class Program extends Child {
  told = [];
  stderr = [];

  constructor({ sockets = [], under = [], env }) {
    // The shell's number is the program's: it becomes the program.
    const shell = ['sh', '-c', 'export LISTEN_PID=$$; exec "$@"', 'sh'];
    super([PROGRAM], {
      under: sockets.length > 0 && !env.LISTEN_PID ? shell : under,
      env: { ...(sockets.length > 0 && { LISTEN_FDS: sockets.length }), ...env },
      stdio: ['pipe', 'pipe', 'pipe', ...sockets.map(socket => socket._handle)],
    });
    this.take(this.process.stdout, line => this.told.push(JSON.parse(line)));
    this.take(this.process.stderr, line => this.stderr.push(line));
    this.process.once('exit', (...end) => this.fail(`it ended (${end})`));
  }

  tell(word) {
    this.process.stdin.write(`${word}\n`);
  }

  /** The n-th line that has a member. */
  line(name, place = 0) {
    return this.until(`${name} ${place}`, () => this.told.filter(each => name in each)[place]);
  }

  story() {
    return [...this.told.map(each => JSON.stringify(each)), ...this.stderr].join('\n');
  }
}

/** The answer of whoever listens: a worker's pid. */
function ask(options) {
  return new Promise((resolve, reject) => {
    const request = http.get({ agent: false, ...options }, async response => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(body);
    });
    request.on('error', reject);
  });
}

async function listening(...address) {
  const server = net.createServer();
  server.listen(...address);
  await once(server, 'listening');
  return server;
}

/** Closes ours; libuv would remove its path. */
function letGo(server) {
  const place = server.address();
  const aside = `${place}-aside`;
  if (typeof place === 'string') fs.renameSync(place, aside);
  server.close();
  if (typeof place === 'string') fs.renameSync(aside, place);
}

/** Gives a program sockets of ours, which it is the only one to listen on. */
async function withSockets(addresses, options, body) {
  const servers = [];
  for (const address of addresses) servers.push(await listening(address));
  const places = servers.map(server => server.address());
  const program = new Program({ sockets: servers, ...options(places) });
  for (const server of servers) letGo(server);
  try {
    await body(program, places);
  } finally {
    await program.stop();
  }
}

const skip = way === 'node' && "Node's cluster does not look at inherited sockets";

describe('inherited sockets', { skip }, () => {
  test('are found by their address, stay open while nobody listens, and lose no client', async () => {
    const options = ([{ port }]) => ({ env: { ADDRESSES: JSON.stringify([{ port, host: '127.0.0.1' }]) } });
    await withSockets([{ port: 0, host: '127.0.0.1' }], options, async (program, [{ port }]) => {
      const { sockets } = await program.line('sockets');
      assert.deepEqual(sockets, [
        { fd: 3, name: 'unknown', kind: 'tcp', address: `127.0.0.1:${port}`, used: false },
      ]);
      assert.deepEqual(await program.line('unused'), { unused: [] });
      const first = await ask({ port, host: '127.0.0.1' });
      program.tell('disconnect');
      assert.deepEqual(await program.line('unused', 1), { unused: [3] });
      const second = ask({ port, host: '127.0.0.1' });
      program.tell('fork');
      assert.notEqual(await second, first);
      assert.deepEqual(program.stderr, []);
    });
  });

  test('are found by their path and by their names', async () => {
    const file = path.join(folder, 'by-path');
    const options = () => ({
      env: {
        ADDRESSES: JSON.stringify([{ path: file }, { path: 'systemd:web' }, { path: 'systemd:none' }]),
        LISTEN_FDNAMES: 'other:web',
      },
    });
    const addresses = [{ path: file }, { port: 0, host: '127.0.0.1' }];
    await withSockets(addresses, options, async (program, [, { port }]) => {
      assert.deepEqual(await program.line('refused'), { refused: 'ENOENT' });
      assert.deepEqual(await program.line('unused', 1), { unused: [] });
      assert.equal(await ask({ socketPath: file }), await ask({ port, host: '127.0.0.1' }));
      // It is not ours to remove.
      program.tell('disconnect');
      await program.until('the end of the worker', () => program.told.at(-1).unused?.length === 2);
      assert.ok(fs.existsSync(file));
    });
  });

  test('a second server on one is in use', async () => {
    const options = ([{ port }]) => {
      const address = { port, host: '127.0.0.1' };
      return { env: { ADDRESSES: JSON.stringify([address, address]) } };
    };
    await withSockets([{ port: 0, host: '127.0.0.1' }], options, async (program, [{ port }]) => {
      assert.deepEqual(await program.line('refused'), { refused: 'EADDRINUSE' });
      assert.match(await ask({ port, host: '127.0.0.1' }), /^\d+$/);
    });
  });

  test('those of another process are not ours', async () => {
    const options = ([{ port }]) => ({
      env: { ADDRESSES: JSON.stringify([{ port, host: '127.0.0.1' }]), LISTEN_PID: process.pid },
    });
    await withSockets([{ port: 0, host: '127.0.0.1' }], options, async program => {
      assert.deepEqual((await program.line('sockets')).sockets, []);
      // The program has the socket all the same, and so the port is taken.
      assert.deepEqual(await program.line('refused'), { refused: 'EADDRINUSE' });
    });
  });

  const ACTIVATE = 'systemd-socket-activate';
  const none =
    spawnSync(ACTIVATE, ['--version']).status !== 0 && `there is no ${ACTIVATE} here (package systemd)`;
  test(`under ${ACTIVATE}: the program is started by its first client, who is served`, {
    skip: none,
  }, async () => {
    const port = await freePort();
    const env = { ADDRESSES: JSON.stringify([port]) };
    const pass = ['ADDRESSES', 'PATH'].flatMap(name => ['-E', name]);
    const program = new Program({
      under: [ACTIVATE, '-l', `${port}`, '--fdname', 'web', ...pass],
      env,
    });
    try {
      await program.until('its socket', () => program.stderr.some(line => line.includes('Listening on')));
      const pid = await ask({ port, host: '127.0.0.1' });
      const told = await program.line('sockets');
      assert.equal(told.pid, program.pid);
      assert.deepEqual(told.sockets, [
        { fd: 3, name: 'web', kind: 'tcp', address: `[::]:${port}`, used: false },
      ]);
      assert.notEqual(Number(pid), told.pid);
      assert.deepEqual(await program.line('unused'), { unused: [] });
    } finally {
      await program.stop();
    }
  });
});
