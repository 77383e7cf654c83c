'use strict';

// A cluster program under attack. Every process of it holds a connection to the test (programs/tether.js): what
// happens comes up it, commands go down it, and its end is the end of the process.

const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { Child } = require('../../__test__/support/child');
const { now } = require('./time');
const user = require('../../__test__/support/user');

const PROGRAMS = path.join(__dirname, 'programs');
const STDERR_KEPT = 20_000;

/** How long to wait for what happens, if nothing else is said, in milliseconds. */
const PATIENCE = 15_000;

/** One process of the program. */
class Peer {
  /** When its end was seen. */
  ended;

  constructor(socket, { id, pid }) {
    this.socket = socket;
    this.id = id;
    this.pid = pid;
    this.gone = new Promise(resolve => {
      socket.once('close', () => {
        this.ended = now();
        resolve();
      });
    });
  }

  tell(command) {
    this.socket.write(`${JSON.stringify(command)}\n`);
  }
}

/** Where a program listens if nothing else is said. */
const ANYWHERE = { port: 0, host: '127.0.0.1' };

const within = (folder, address) =>
  address.path === undefined ? address : { ...address, path: path.resolve(folder, address.path) };

/** Programs that have not been stopped. */
const live = new Set();

/** Ends what an attack that failed has left. */
async function stopAll() {
  await Promise.all([...live].map(program => program.stop()));
}

class Program extends Child {
  /** @type {{event: string, time: number, id?: number, pid?: number}[]} */
  history = [];

  /** @type {Peer} */
  primary;

  /** @type {Map<number, Peer>} by the worker's number */
  workers = new Map();

  stderr = '';

  /** The workers of which an attack expects that something happens to them. */
  expected = new Set();

  #folder;
  #server;
  #listeners;

  /**
   * @param {string} name of a file in programs/
   * @param {object} options
   * @param {'rust' | 'node'} options.way
   * @param {Record<string, unknown>} [options.env] for programs/server.js: LISTEN, where paths are relative to the
   *   program's folder, and MOST as they are
   * @param {object} [options.limits] of each process: see Child
   * @param {string[]} [options.nodeArgs]
   */
  static async start(name, options) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-chaos-'));
    const server = net.createServer();
    await once(server.listen(path.join(folder, 'tether')), 'listening');
    for (const file of [folder, path.join(folder, 'tether')]) user.give(file);
    return new Program(name, { ...options, folder, server });
  }

  constructor(
    name,
    { way, env: { LISTEN = ANYWHERE, MOST = 0, ...env } = {}, limits, nodeArgs = [], folder, server },
  ) {
    const addresses = [LISTEN].flat().map(address => within(folder, address));
    super([...nodeArgs, path.join(PROGRAMS, name)], {
      ...user.ids(),
      env: {
        CLUSTER: way,
        TETHER: path.join(folder, 'tether'),
        LOG: path.join(folder, 'log'),
        LISTEN: JSON.stringify(addresses),
        MOST: JSON.stringify([MOST].flat()),
        ...env,
      },
      limits: { core: 0, ...limits },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#folder = folder;
    this.#listeners = addresses.length;
    this.#server = server.on('connection', socket => this.#greet(socket));
    this.process.stderr.setEncoding('utf8').on('data', text => {
      this.stderr = (this.stderr + text).slice(-STDERR_KEPT);
    });
    this.exit.then(([code, signal]) => {
      this.#happened({ event: 'end', code, signal });
      this.fail('the primary has ended');
    });
    live.add(this);
    process.on('exit', this.#clear);
  }

  /** A path for the program's own use, gone with it. */
  file(name) {
    return path.join(this.#folder, name);
  }

  #greet(socket) {
    let rest = '';
    let peer;
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', chunk => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const said = JSON.parse(line);
        if (peer) {
          this.#happened(said);
          continue;
        }
        peer = new Peer(socket, said);
        if (peer.id) this.workers.set(peer.id, peer);
        else this.primary = peer;
        this.#happened({ event: 'hello', id: peer.id, pid: peer.pid });
      }
    });
  }

  #happened(entry) {
    this.history.push({ time: now(), ...entry });
    this.look();
  }

  /** Everything of one kind that has happened. */
  all(event, filter = () => true) {
    return this.history.filter(entry => entry.event === event && filter(entry));
  }

  until(what, probe, limit = PATIENCE) {
    return super.until(what, probe, limit);
  }

  /** Waits for so many events, and returns them. */
  events(event, count = 1, filter = undefined, limit = undefined) {
    const probe = () => {
      const found = this.all(event, filter);
      return found.length >= count && found.slice(0, count);
    };
    return this.until(`${count} × '${event}'`, probe, limit);
  }

  /** Waits until so many workers listen, and obey the test; the port. */
  async listening(count) {
    await this.until(`${count} workers that listen`, () => this.serving.length >= count);
    return this.all('listening')[0].port;
  }

  /** Where the workers listen, in the order in which they came to. */
  get targets() {
    const { id: first } = this.all('listening')[0];
    return this.all('listening', ({ id, addressType }) => id === first && addressType !== 'udp4').map(
      ({ address, port }) => (typeof port === 'number' && port > 0 ? { host: address, port } : address),
    );
  }

  /** The workers that listen wherever they are to, and have not ended, as far as is known. */
  get serving() {
    const gone = new Set(
      [...this.all('exit'), ...this.all('disconnect'), ...this.all('leaving')].map(({ id }) => id),
    );
    const left = new Map();
    for (const { id } of this.all('listening')) left.set(id, (left.get(id) ?? this.#listeners) - 1);
    return [...left]
      .filter(([id, missing]) => missing <= 0 && !gone.has(id))
      .map(([id]) => this.workers.get(id))
      .filter(Boolean);
  }

  /** The lines that the workers logged, synchronously. */
  log() {
    const file = this.file('log');
    return fs.existsSync(file) ? fs.readFileSync(file, 'latin1').split('\n').slice(0, -1) : [];
  }

  async stop() {
    live.delete(this);
    await super.stop();
    for (const peer of [this.primary, ...this.workers.values()]) peer?.socket.destroy();
    this.#server.close();
    process.off('exit', this.#clear);
    this.#clear();
  }

  #clear = () => fs.rmSync(this.#folder, { recursive: true, force: true });

  story() {
    return [...this.history.slice(-20).map(entry => JSON.stringify(entry)), this.stderr].join('\n');
  }
}

/** Runs a program for as long as `body` needs it. */
async function withProgram(name, options, body) {
  const program = await Program.start(name, options);
  try {
    return await body(program);
  } finally {
    await program.stop();
  }
}

module.exports = { withProgram, stopAll, PROGRAMS };
