'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const proc = require('../../__test__/support/proc');

/**
 * The processes that one run of a test has started. A child can leave its session, and it can be given another
 * environment; only one that did both would escape.
 */
class ProcessTree {
  /**
   * @param {number} session the id of the first process, which leads the session
   * @param {string} marker an entry of the environment that no other run has
   */
  constructor(session, marker) {
    this.session = session;
    this.marker = `${marker}\0`;
  }

  /** @returns {{ pid: number, command: string }[]} */
  alive() {
    return proc
      .all()
      .filter(pid => this.#has(pid))
      .map(pid => ({ pid, command: proc.command(pid).split('\0').join(' ').trim() }));
  }

  #has(pid) {
    if (!proc.lives(pid)) return false;
    return proc.session(pid) === this.session || proc.environment(pid).includes(this.marker);
  }

  /** Waits until all have gone, at most `ms`, and returns those that have not. */
  async drained(ms) {
    const end = Date.now() + ms;
    let alive = this.alive();
    while (alive.length > 0 && Date.now() < end) {
      await sleep(20);
      alive = this.alive();
    }
    return alive;
  }

  /** One that forks while it is looked for is found in the next round. */
  async kill() {
    for (let rounds = 100; rounds > 0 && this.alive().length > 0; rounds--) {
      this.killNow();
      await this.drained(50);
    }
  }

  /** For a runner that is about to exit itself. */
  killNow() {
    for (const { pid } of this.alive()) proc.signal(pid, 'SIGKILL');
  }
}

module.exports = { ProcessTree };
