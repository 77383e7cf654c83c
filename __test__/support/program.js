'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { Child } = require('./child');
const { under } = require('./kernel');
const { PREFIX } = require('./preload');
const user = require('./user');
const way = require('./way');

const PRELOAD = path.join(__dirname, 'preload.js');
const WHOLE_LINES = path.join(__dirname, 'whole-lines.js');
const PROGRAMS = path.join(__dirname, '..');
/** Only what hangs runs into it, however slow the machine is. */
const WATCHDOG = 120_000;

/** A cluster program in child processes: what it printed, what happened to its workers, how it ended. */
class Program extends Child {
  /** @type {string[]} lines of all its processes */
  stdout = [];

  /** @type {string[]} lines of all its processes */
  stderr = [];

  /** @type {{event: string, id: number, pid: number}[]} what the primary saw happen to its workers */
  history = [];

  /** Whether it ran into the time limit. */
  overdue = false;

  #file;
  #end;
  #watchdog = setTimeout(() => this.#expire(), WATCHDOG);

  constructor(
    file,
    {
      env,
      nodeArgs = [],
      descriptors,
      processes,
      kernel = process.env.KERNEL,
      within = [],
      ownLines = false,
    } = {},
  ) {
    const preloads = ownLines ? [PRELOAD] : [PRELOAD, WHOLE_LINES];
    const requires = preloads.map(preload => `--require ${JSON.stringify(preload)}`);
    super([...nodeArgs, file], {
      // The limit of processes is its user's.
      ...(processes && user.ids()),
      cwd: path.dirname(file),
      env: {
        NODE_OPTIONS: [process.env.NODE_OPTIONS ?? '', ...requires].join(' '),
        CLUSTER: way,
        ...env,
      },
      limits: { descriptors, processes },
      under: [...within, ...(kernel ? under(kernel) : [])],
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#file = file;
    this.close.then(([code, signal]) => {
      clearTimeout(this.#watchdog);
      this.#end = { code, signal };
      this.fail(`it ended (${signal ?? code})`);
    });
    this.take(this.process.stdout, line => this.stdout.push(line));
    this.take(this.process.stderr, line => {
      if (line.startsWith(PREFIX)) this.history.push(JSON.parse(line.slice(PREFIX.length)));
      else this.stderr.push(line);
    });
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
    return this.until('its end', () => this.#end);
  }

  async stop() {
    await super.stop();
    await this.close;
  }

  #first(count, what, find) {
    return this.until(`${count} × ${what}`, () => {
      const found = find();
      return found.length >= count ? found.slice(0, count) : undefined;
    });
  }

  #expire() {
    this.overdue = true;
    this.fail(`not within ${WATCHDOG / 1000} s`);
    this.kill();
    this.process.stdout.destroy();
    this.process.stderr.destroy();
  }

  story() {
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
 * @param {number} [options.processes] the most that it may have in all, threads counted, as a user of its own
 * @param {string} [options.kernel] one that knows or allows less, see ./kernel
 * @param {string[]} [options.within] the first words of the command: a program that runs it elsewhere, see ./networks
 * @param {boolean} [options.ownLines] the program itself sees to it that its processes' lines stay whole
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

module.exports = { run };
