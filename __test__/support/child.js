'use strict';

// A program in processes of its own: how tests, attacks and benchmarks start what they look at, wait for what it
// does, and end it. Each of them hears in its own way what happens, and says so by `look()`.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const leftovers = require('./leftovers');
const { signal } = require('./proc');

/** The shell's commands for limits of each process. Shells name that of processes differently. */
const ULIMITS = {
  core: most => `ulimit -c ${most}`,
  descriptors: most => `ulimit -n ${most}`,
  processes: most => `{ ulimit -u ${most} 2>/dev/null || ulimit -p ${most}; }`,
};

class Child {
  /** @type {import('node:child_process').ChildProcess} */
  process;

  #group;
  #exit;
  #close;
  #failure;
  #waits = new Set();

  /**
   * @param {string[]} args node's own, and the program's file
   * @param {object} options those of spawn(), where not said otherwise
   * @param {boolean} [options.detached] in a process group of its own (the default), which ends as a whole
   * @param {Record<string, string | number>} [options.env] added to the environment
   * @param {Partial<Record<keyof typeof ULIMITS, number>>} [options.limits]
   * @param {string[]} [options.under] the first words of the command: a program that runs node, see ./kernel
   */
  constructor(args, { detached = true, env, limits = {}, under = [], ...options }) {
    const commands = Object.entries(limits)
      .filter(([, most]) => most !== undefined)
      .map(([name, most]) => `${ULIMITS[name](most)} && `);
    const command = [...under, process.execPath, ...args];
    if (commands.length > 0) command.unshift('/bin/sh', '-c', `${commands.join('')}exec "$0" "$@"`);
    const [file, ...rest] = command;
    this.process = spawn(file, rest, { ...options, detached, env: { ...process.env, ...env } });
    this.#exit = once(this.process, 'exit');
    this.#close = once(this.process, 'close');
    this.#group = detached ? -this.pid : this.pid;
    leftovers.track(this.#group);
  }

  /** @returns {number} the first process's */
  get pid() {
    return this.process.pid;
  }

  /** When the first process has ended: its code and signal. */
  get exit() {
    return this.#exit;
  }

  /** When everything that holds its output has ended as well: the first process's code and signal. */
  get close() {
    return this.#close;
  }

  /**
   * Waits until something holds.
   *
   * @template T
   * @param {string} what
   * @param {() => T | undefined | false} probe asked at each `look()`
   * @param {number} [limit] in milliseconds
   * @returns {Promise<T>}
   */
  until(what, probe, limit) {
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer);
        this.#waits.delete(look);
        settle(value);
      };
      const fail = why => finish(reject, new Error(`no ${what}: ${why}\n${this.story()}`));
      const timer = limit && setTimeout(fail, limit, `not within ${limit} ms`);
      const look = () => {
        const found = probe();
        if (found !== undefined && found !== false) finish(resolve, found);
        else if (this.#failure) fail(this.#failure);
      };
      this.#waits.add(look);
      look();
    });
  }

  /** Something has happened. */
  look() {
    for (const wait of [...this.#waits]) wait();
  }

  /** Nothing more will come: who waits, and who will, has waited in vain. */
  fail(why) {
    this.#failure ??= why;
    this.look();
  }

  /** What is told of it where something is missing. */
  story() {
    return '';
  }

  /** Has every line of a stream taken. */
  take(stream, take) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', chunk => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      lines.forEach(take);
      this.look();
    });
    stream.on('end', () => {
      if (rest) take(rest);
    });
  }

  kill() {
    signal(this.#group, 'SIGKILL');
  }

  /** Kills what still runs: the first process first, so that it reports no death that this causes. */
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await this.#exit;
    }
    this.kill();
    leftovers.forget(this.#group);
  }
}

module.exports = { Child };
