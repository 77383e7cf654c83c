'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { PREFIX } = require('./preload');
const way = require('./way');

const PRELOAD = path.join(__dirname, 'preload.js');
const PROGRAMS = path.join(__dirname, '..');
const WATCHDOG = 30_000;

/** A cluster program in child processes: what it printed, what happened to its workers, how it ended. */
class Program {
  /** @type {string[]} lines of all its processes */
  stdout = [];

  /** @type {string[]} lines of all its processes */
  stderr = [];

  /** @type {{event: string, id: number, pid: number}[]} what the primary saw happen to its workers */
  history = [];

  /** Whether it ran into the time limit. */
  overdue = false;

  #file;
  #child;
  #closed;
  #end;
  #failure;
  #waits = new Set();
  #watchdog = setTimeout(() => this.#expire(), WATCHDOG);

  constructor(file, { env, nodeArgs = [], descriptors } = {}) {
    this.#file = file;
    const limit = descriptors ? `ulimit -n ${descriptors}; ` : '';
    this.#child = spawn('sh', ['-c', `${limit}exec "$0" "$@"`, process.execPath, ...nodeArgs, file], {
      cwd: path.dirname(file),
      // A process group of its own, so that the whole tree can be killed at once.
      detached: true,
      env: {
        ...process.env,
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require ${JSON.stringify(PRELOAD)}`,
        CLUSTER: way,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#closed = once(this.#child, 'close');
    this.#child.once('close', (code, signal) => {
      clearTimeout(this.#watchdog);
      this.#end = { code, signal };
      this.#failure ??= new Error(`it ended (${signal ?? code})`);
      this.#check();
    });
    process.on('exit', this.#killGroup);
    this.#collect(this.#child.stdout, line => this.stdout.push(line));
    this.#collect(this.#child.stderr, line => {
      if (line.startsWith(PREFIX)) this.history.push(JSON.parse(line.slice(PREFIX.length)));
      else this.stderr.push(line);
    });
  }

  /** @returns {number} the primary */
  get pid() {
    return this.#child.pid;
  }

  /** @returns {(number | string)[]} the code or the signal of every worker that has ended */
  get exits() {
    return this.history.filter(({ event }) => event === 'exit').map(({ code, signal }) => signal ?? code);
  }

  /**
   * Waits for lines on stdout.
   *
   * @param {RegExp} pattern
   * @param {number} [count]
   * @returns {Promise<RegExpMatchArray[]>} the first `count` matches
   */
  lines(pattern, count = 1) {
    return this.#first(count, `on stdout ${pattern}`, () =>
      this.stdout.map(line => line.match(pattern)).filter(Boolean),
    );
  }

  /**
   * Waits for something to happen to workers, as the primary sees it.
   *
   * @param {'online' | 'listening' | 'exit'} name
   * @param {number} [count]
   * @returns {Promise<{id: number, pid: number}[]>} the first `count` of these events
   */
  events(name, count = 1) {
    return this.#first(count, `event '${name}'`, () => this.history.filter(({ event }) => event === name));
  }

  /**
   * Waits until the primary and everything that holds its output has ended.
   *
   * @returns {Promise<{code: number | null, signal: string | null}>}
   */
  end() {
    return this.#until('its end', () => this.#end);
  }

  /** Kills what still runs: the primary first, so that it reports no death that this causes. */
  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exit;
    }
    this.#killGroup();
    await this.#closed;
    process.off('exit', this.#killGroup);
  }

  #first(count, what, find) {
    return this.#until(`${count} × ${what}`, () => {
      const found = find();
      return found.length >= count ? found.slice(0, count) : undefined;
    });
  }

  #until(what, probe) {
    return new Promise((resolve, reject) => {
      this.#waits.add({ what, probe, resolve, reject });
      this.#check();
    });
  }

  #check() {
    for (const wait of this.#waits) {
      const found = wait.probe();
      if (found === undefined && !this.#failure) continue;
      this.#waits.delete(wait);
      if (found !== undefined) wait.resolve(found);
      else wait.reject(new Error(`no ${wait.what}: ${this.#failure.message}\n${this.#story()}`));
    }
  }

  #collect(stream, take) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', chunk => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      lines.forEach(take);
      this.#check();
    });
    stream.on('end', () => {
      if (rest) take(rest);
    });
  }

  #expire() {
    this.overdue = true;
    this.#failure = new Error(`not within ${WATCHDOG / 1000} s`);
    this.#check();
    this.#killGroup();
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  #killGroup = () => {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };

  #story() {
    const history = this.history.map(entry => JSON.stringify(entry));
    const parts = Object.entries({ stdout: this.stdout, stderr: this.stderr, workers: history });
    return [this.#file, ...parts.flatMap(([name, lines]) => [`--- ${name}`, ...lines])].join('\n');
  }
}

/**
 * Runs a program for as long as a test needs it and kills what is left of it then. A worker that ended in a
 * way the test does not expect fails the test, and so does a line on stderr. The ends that it does expect are
 * waited for.
 *
 * @param {string} file relative to the folder of all tests, or absolute
 * @param {object} options
 * @param {Record<string, string | number>} [options.env] added to the environment
 * @param {string[]} [options.nodeArgs] arguments of node itself
 * @param {number} [options.descriptors] the most that each of its processes may have
 * @param {(number | string)[]} [options.exits] the code or signal of every worker that is to end
 * @param {RegExp} [options.stderr] the lines to expect there
 * @param {(program: Program) => Promise<void>} body
 */
async function run(file, { exits = [], stderr, ...options }, body) {
  const program = new Program(path.resolve(PROGRAMS, file), options);
  try {
    await body(program);
    await program.events('exit', exits.length);
  } finally {
    await program.stop();
  }
  assert.ok(!program.overdue, 'a process of the program outlived the whole tree');
  const unexpected = program.stderr.filter(line => !stderr?.test(line));
  assert.deepEqual(unexpected, [], 'lines on stderr');
  assert.deepEqual(program.exits.map(String).sort(), exits.map(String).sort(), 'ends of workers');
}

// An interrupted test kills its programs too: the listeners of 'exit' run.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

module.exports = { run };
