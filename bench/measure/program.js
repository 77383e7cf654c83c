'use strict';

// A measured program: a primary, its workers, and the questions that the harness asks the primary.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

const processes = require('./processes');

/** How long an answer may take, in ms: one that hangs must not hang the harness. */
const PATIENCE = 30_000;
const PATIENCE_PER_WORKER = 500;

class Program {
  #child;
  #name;
  #questions = new Map();
  #id = 0;
  #workers = [];
  #stopping = false;

  /**
   * @param {string} name of a file in ../programs
   * @param {import('../rivals').Rival} rival
   */
  constructor(name, rival) {
    this.#name = `${name} under ${rival.name}`;
    this.#child = spawn(process.execPath, [path.join(__dirname, '..', 'programs', `${name}.js`)], {
      // Not in a session of its own: schedulers share time among sessions, and the load is in ours.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, BENCH_CLUSTER: rival.cluster, NODE_CLUSTER_SCHED_POLICY: rival.policy },
    });
    processes.track(this.#child.pid);
    this.#child.on('message', ({ id, answer, error }) => this.#settle(id, answer, error));
    this.#child.on('exit', (code, signal) => this.#ended(code, signal));
  }

  /** The primary's. */
  get pid() {
    return this.#child.pid;
  }

  /** The workers'. */
  get workers() {
    return this.#workers;
  }

  #settle(id, answer, error) {
    const { resolve, reject, timer } = this.#questions.get(id);
    this.#questions.delete(id);
    clearTimeout(timer);
    if (error) reject(new Error(`${this.#name}: ${error}`));
    else resolve(answer);
  }

  #ended(code, signal) {
    processes.forget(this.#child.pid);
    if (!this.#stopping) this.#fail(`the primary ended (${signal ?? code})`);
  }

  #fail(reason) {
    for (const id of this.#questions.keys()) this.#settle(id, undefined, reason);
  }

  /**
   * @param {string} question
   * @param {object} [values]
   * @param {number} [patience]
   * @returns {Promise<any>}
   */
  ask(question, values, patience = PATIENCE) {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, undefined, `no answer to '${question}'`), patience);
      this.#questions.set(id, { resolve, reject, timer });
      this.#child.send({ id, question, values });
    });
  }

  /** Asks for the workers. */
  async start(values) {
    const started = await this.ask('start', values, PATIENCE + values.workers * PATIENCE_PER_WORKER);
    this.#workers = started.pids;
    this.#workers.forEach(processes.track);
    return started;
  }

  /** Ends it, primary and workers, and waits until they are gone. */
  async stop() {
    this.#stopping = true;
    const pids = [this.#child.pid, ...this.#workers];
    const { exitCode, signalCode } = this.#child;
    const exit = exitCode === null && signalCode === null ? once(this.#child, 'exit') : undefined;
    for (const pid of pids) kill(pid);
    await exit;
    for (const pid of this.#workers) await gone(pid);
    pids.forEach(processes.forget);
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Waits until a process that is not our child has ended. */
async function gone(pid) {
  for (let i = 0; i < 200 && isAlive(pid); i++) await new Promise(resolve => setTimeout(resolve, 5));
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * Runs `use` with a program, and ends the program whatever happens.
 * @template T
 * @param {string} name
 * @param {import('../rivals').Rival} rival
 * @param {(program: Program) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function withProgram(name, rival, use) {
  const program = new Program(name, rival);
  try {
    return await use(program);
  } finally {
    await program.stop();
  }
}

module.exports = { withProgram };
