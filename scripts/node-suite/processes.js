'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

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
    this.marker = Buffer.from(`${marker}\0`);
  }

  /** @returns {{ pid: number, command: string }[]} */
  alive() {
    return fs
      .readdirSync('/proc')
      .filter(name => /^\d+$/.test(name) && this.#has(name))
      .map(name => ({ pid: Number(name), command: command(name) }));
  }

  #has(pid) {
    const [state, , , session] = status(pid);
    if (!state || 'ZX'.includes(state)) return false;
    return Number(session) === this.session || read(`/proc/${pid}/environ`).includes(this.marker);
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
    for (const { pid } of this.alive()) signal(pid);
  }
}

function signal(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone meanwhile.
  }
}

/** State, parent, group, session: what follows the name, which may itself hold blanks and parentheses. */
function status(pid) {
  const text = read(`/proc/${pid}/stat`).toString();
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function command(pid) {
  return read(`/proc/${pid}/cmdline`).toString().split('\0').join(' ').trim();
}

function read(file) {
  try {
    return fs.readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}

module.exports = { ProcessTree };
