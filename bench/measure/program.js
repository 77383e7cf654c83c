'use strict';

// A measured program: a primary, its workers, and the questions that the harness asks the primary.

const path = require('node:path');

const { Child } = require('../../__test__/support/child');
const leftovers = require('../../__test__/support/leftovers');
const proc = require('../../__test__/support/proc');

/** How long an answer may take, in ms: one that hangs must not hang the harness. */
const PATIENCE = 30_000;
const PATIENCE_PER_WORKER = 500;

class Program extends Child {
  #name;
  #answers = new Map();
  #id = 0;
  #workers = [];

  /**
   * @param {string} name of a file in ../programs
   * @param {import('../rivals').Rival} rival
   */
  constructor(name, rival) {
    super([path.join(__dirname, '..', 'programs', `${name}.js`)], {
      // Not in a session of its own: schedulers share time among sessions, and the load is in ours.
      detached: false,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { BENCH_CLUSTER: rival.cluster, NODE_CLUSTER_SCHED_POLICY: rival.policy },
    });
    this.#name = `${name} under ${rival.name}`;
    this.process.on('message', ({ id, ...result }) => {
      this.#answers.set(id, result);
      this.look();
    });
    this.exit.then(([code, signal]) => this.fail(`the primary ended (${signal ?? code})`));
  }

  /** The workers'. */
  get workers() {
    return this.#workers;
  }

  /**
   * @param {string} question
   * @param {object} [values]
   * @param {number} [patience]
   * @returns {Promise<any>}
   */
  async ask(question, values, patience = PATIENCE) {
    const id = ++this.#id;
    this.process.send({ id, question, values });
    const { answer, error } = await this.until(
      `answer to '${question}'`,
      () => this.#answers.get(id),
      patience,
    );
    this.#answers.delete(id);
    if (error) throw new Error(`${this.#name}: ${error}`);
    return answer;
  }

  /** Asks for the workers. */
  async start(values) {
    const started = await this.ask('start', values, PATIENCE + values.workers * PATIENCE_PER_WORKER);
    this.#workers = started.pids;
    this.#workers.forEach(leftovers.track);
    return started;
  }

  kill() {
    super.kill();
    for (const pid of this.#workers) proc.signal(pid, 'SIGKILL');
  }

  async stop() {
    await super.stop();
    for (const pid of this.#workers) await gone(pid);
    this.#workers.forEach(leftovers.forget);
  }

  story() {
    return this.#name;
  }
}

/** Waits until a process that is not our child has ended. */
async function gone(pid) {
  for (let i = 0; i < 200 && proc.lives(pid); i++) await new Promise(resolve => setTimeout(resolve, 5));
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
