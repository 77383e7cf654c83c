'use strict';

// Starts `rust-cluster` as a user would, in a folder and with a runtime folder of its own.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Child } = require('../support/child');

const BIN = path.join(__dirname, '..', '..', 'bin', 'rust-cluster.js');
const WATCHDOG = 120_000;

/** Answers who it is and what it was started with. */
const SERVER = `require('node:http').createServer((request, response) => {
  if (request.url === '/hang') return console.log('hangs');
  response.end(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), execArgv: process.execArgv, said: process.env.SAID }));
}).listen(0, '127.0.0.1');`;

/** A folder with files in it, which goes with the test. */
function folder(t, files = {}) {
  const name = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-')));
  t.after(() => fs.rmSync(name, { recursive: true, force: true }));
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(name, file)), { recursive: true });
    fs.writeFileSync(path.join(name, file), text);
  }
  return name;
}

/** The environment of a command: nothing of the test's own npm, and a runtime folder beside the program. */
function environment(cwd, added) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|RUST_CLUSTER_|WEB_CONCURRENCY)/i.test(name),
  );
  const runtime = runtimeOf(cwd);
  // Nor is anything of what else runs as this user seen.
  return { ...Object.fromEntries(inherited), XDG_RUNTIME_DIR: runtime, TMPDIR: runtime, PWD: cwd, ...added };
}

function runtimeOf(cwd) {
  const runtime = path.join(fs.realpathSync(cwd), '.runtime');
  fs.mkdirSync(runtime, { recursive: true });
  return runtime;
}

/** A supervisor that runs: what it reports, and its lines. */
class Supervised extends Child {
  /** @type {any[]} */
  reports = [];
  /** What it has printed that is no report. */
  lines = [];
  #watchdog = setTimeout(() => this.fail(`not within ${WATCHDOG / 1000} s`), WATCHDOG);

  constructor(cwd, args, { env, ...options } = {}) {
    super([BIN, ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: environment(cwd, { RUST_CLUSTER_LOG_FORMAT: 'json', ...env }),
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      this.take(stream, line => this.#read(line));
    this.close.then(([code, signal]) => {
      clearTimeout(this.#watchdog);
      this.fail(`it ended (${signal ?? code})`);
    });
  }

  #read(line) {
    try {
      this.reports.push(JSON.parse(line));
    } catch {
      this.lines.push(line);
    }
  }

  /** The reports of an event, once there are so many. */
  events(name, count = 1) {
    return this.until(`${count} x ${name}`, () => {
      const found = this.reports.filter(({ event }) => event === name);
      return found.length >= count && found;
    });
  }

  /** Where its workers listen, once they are ready. */
  async port() {
    const [{ addresses }] = await this.events('all-ready');
    return Number(addresses[0].match(/:(\d+)$/)[1]);
  }

  /** Its exit code, or the signal that ended it. */
  async end() {
    const [code, signal] = await this.close;
    return signal ?? code;
  }

  async stop() {
    clearTimeout(this.#watchdog);
    await super.stop();
    await this.close;
  }

  story() {
    return [...this.lines, ...this.reports.map(report => JSON.stringify(report))].join('\n');
  }
}

/** Starts a supervisor, which ends with the test. */
function start(t, cwd, args, options) {
  const supervised = new Supervised(cwd, args, options);
  t.after(() => supervised.stop());
  return supervised;
}

/** Runs a command to its end. */
async function run(cwd, args, { env, ...options } = {}) {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: environment(cwd, env),
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', text => {
      said[name] += text;
    });
  }
  const [code, signal] = await once(child, 'close');
  return { code: signal ?? code, ...said };
}

/** Asks, each time on a connection of its own, until so many processes have answered. */
async function answersOf(count, ask) {
  const answers = new Map();
  for (let asked = 0; answers.size < count; asked++) {
    assert.ok(asked < 1000, `only ${[...answers.keys()]} answer`);
    const answer = await ask();
    answers.set(answer.pid, answer);
  }
  return [...answers.values()];
}

module.exports = { BIN, SERVER, answersOf, environment, folder, run, start };
