'use strict';

// Brokers that people run, as Debian packages them: started on a free port with a folder of their own, killed, and started
// again where they were.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { freePort } = require('./free-port');

const KINDS = {
  nats: {
    program: 'nats-server',
    ready: /Server is ready/,
    args: ({ port, host, password }) => [
      ...['-a', host, '-p', port],
      ...(password ? ['--user', 'cluster', '--pass', password] : []),
    ],
  },
  redis: {
    program: 'redis-server',
    ready: /Ready to accept connections/,
    args: ({ port, host, folder, password }) => [
      ...['--port', port, '--bind', host, '--dir', folder, '--save', '', '--daemonize', 'no'],
      ...['--protected-mode', 'no', ...(password ? ['--requirepass', password] : [])],
    ],
  },
};

/** @returns {string | undefined} */
function find(program) {
  const { stdout } = spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`], {
    encoding: 'utf8',
  });
  return stdout.trim() || undefined;
}

class Broker {
  #kind;
  #options;
  #process;

  constructor(kind, options) {
    this.#kind = KINDS[kind];
    this.#options = options;
  }

  get port() {
    return this.#options.port;
  }

  get pid() {
    return this.#process.pid;
  }

  async start() {
    const { program, ready, args } = this.#kind;
    const { within = [] } = this.#options;
    const [file, ...words] = [...within, find(program), ...args(this.#options).map(String)];
    this.#process = spawn(file, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = [];
    await new Promise((resolve, reject) => {
      for (const stream of [this.#process.stdout, this.#process.stderr])
        readline.createInterface(stream).on('line', line => {
          lines.push(line);
          if (ready.test(line)) resolve();
        });
      this.#process.once('exit', () => reject(new Error(`${program} ended\n${lines.join('\n')}`)));
    });
  }

  async kill() {
    if (!this.#process || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
  }
}

/**
 * @param {import('node:test').TestContext} t at whose end it is killed
 * @param {'nats' | 'redis'} kind
 * @param {{ password?: string, host?: string, within?: string[] }} [options]
 */
async function startBroker(t, kind, { host = '127.0.0.1', ...options } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `${kind}-`));
  const broker = new Broker(kind, { port: await freePort(), host, folder, ...options });
  t.after(async () => {
    await broker.kill();
    fs.rmSync(folder, { recursive: true });
  });
  await broker.start();
  return broker;
}

const missing = kind => (find(KINDS[kind].program) ? undefined : `${KINDS[kind].program} is not installed`);

module.exports = { missing, startBroker };
