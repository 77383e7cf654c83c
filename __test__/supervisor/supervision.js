'use strict';

// A supervisor in a process of its own, as a program would have it, and what it tells.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Child } = require('../support/child');

const PROGRAM = path.join(__dirname, 'programs', 'supervisor.js');
/** What stops a test that waits for what does not come. */
const LIMIT = 120_000;

class Supervision extends Child {
  reports = [];
  /** @type {number | undefined} */
  finished;
  refused;
  stdout = [];
  stderr = [];
  #calls = 0;
  #answers = new Map();

  constructor(begin, { env, cwd } = {}) {
    super([PROGRAM], { env, cwd, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.process.on('message', message => this.#hear(message));
    this.take(this.process.stdout, line => this.stdout.push(line));
    this.take(this.process.stderr, line => this.stderr.push(line));
    this.close.then(([code, signal]) => this.fail(`it ended (${signal ?? code})`));
    this.process.send(begin);
  }

  #hear({ report, id, finished, refused, value, error }) {
    if (report) this.reports.push(report);
    this.finished ??= finished;
    this.refused ??= refused;
    if (id) this.#answers.get(id)(error ? { error } : { value });
    this.look();
  }

  /** Calls a method; the outcome is `{ value }` or `{ error }`. */
  call(method, ...args) {
    const [outcome] = this.#expect(1, ids => this.process.send({ ids, method, args }));
    return outcome;
  }

  /** As `call`: twice in one turn of its loop. */
  callTwice(method) {
    return Promise.all(this.#expect(2, ids => this.process.send({ ids, method, args: [] })));
  }

  #expect(count, ask) {
    const ids = Array.from({ length: count }, () => ++this.#calls);
    const outcomes = ids.map(id => new Promise(resolve => this.#answers.set(id, resolve)));
    ask(ids);
    return outcomes;
  }

  /** The first report of that name that has these details; after the `from`th report. */
  report(event, details = {}, from = 0) {
    const matches = report =>
      report.event === event && Object.entries(details).every(([name, value]) => report[name] === value);
    return this.until(`report ${event}`, () => this.reports.slice(from).find(matches), LIMIT);
  }

  /** Where its workers listen, once all are ready. */
  async port() {
    const { addresses } = await this.report('all-ready');
    return Number(addresses[0].split(':').at(-1));
  }

  story() {
    return [...this.reports.map(report => JSON.stringify(report)), ...this.stdout, ...this.stderr].join('\n');
  }
}

/**
 * Runs a supervisor for as long as a test needs it.
 * @param {object} options of supervise(); or `{ file }`, the name of a file that has them
 * @param {(supervision: Supervision) => Promise<void>} body
 */
async function supervising(options, body, surroundings) {
  const begin = typeof options.file === 'string' ? options : { options: { execArgv: [], ...options } };
  const supervision = new Supervision(begin, surroundings);
  try {
    await body(supervision);
  } catch (error) {
    error.message += `\n${supervision.story()}`;
    throw error;
  } finally {
    await supervision.stop();
  }
}

/** A folder that is gone after the test. */
function folderFor(context) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-supervisor-'));
  context.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Whether a process lives: one that nobody has waited for yet does not. */
function lives(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

async function untilGone(pid) {
  const end = Date.now() + LIMIT;
  while (lives(pid)) {
    if (Date.now() > end) throw new Error(`process ${pid} has not ended within ${LIMIT} ms`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

const program = name => path.join(__dirname, 'programs', name);

module.exports = { supervising, folderFor, lives, program, untilGone };
