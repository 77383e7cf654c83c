'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { environment } = require('./environment.js');
const { logFile, readExits } = require('./exits.js');
const { ProcessTree } = require('./processes.js');

/**
 * @typedef {object} Result
 * @property {'pass' | 'skip' | 'fail'} status
 * @property {string} why what made it fail
 * @property {number} ms
 * @property {string[]} exits of all processes that the test started
 * @property {string} output its end, both streams
 */

/** Runs tests, each in a folder, a session and a temporary directory of its own, as tools/test.py of Node does. */
class Runner {
  #serial = 0;
  /** @type {Set<ProcessTree>} */
  #trees = new Set();

  /**
   * @param {object} settings
   * @param {string} settings.node
   * @param {string} settings.cwd
   * @param {string} settings.scratch
   * @param {number} settings.timeout
   * @param {number} settings.grace
   * @param {import('./user.js').User} [settings.user]
   */
  constructor(settings) {
    this.settings = settings;
  }

  /**
   * @param {import('./select.js').Test} test
   * @param {import('./ways.js').Way} way
   * @param {number} slot
   * @returns {Promise<Result>}
   */
  async run(test, way, slot) {
    const dir = this.#makeFolder();
    const started = performance.now();
    const { child, tree } = this.#start(test, way, slot, dir);
    this.#trees.add(tree);
    const end = await ended(child, this.settings.timeout);
    const ms = performance.now() - started;
    const left = end === 'timeout' ? tree.alive() : await tree.drained(this.settings.grace);
    await tree.kill();
    this.#trees.delete(tree);
    const stdout = read(dir, 'stdout');
    const result = {
      ...judge(end, left, stdout),
      ms: Math.round(ms),
      exits: readExits(dir, child.pid),
      output: (stdout + read(dir, 'stderr')).slice(-8000),
    };
    fs.rmSync(dir, { recursive: true, force: true });
    return result;
  }

  #makeFolder() {
    const { scratch, user } = this.settings;
    this.#serial += 1;
    const dir = path.join(scratch, String(this.#serial));
    fs.mkdirSync(dir);
    fs.writeFileSync(logFile(dir), '');
    // A worker may run as another user than its primary.
    fs.chmodSync(dir, 0o755);
    fs.chmodSync(logFile(dir), 0o666);
    if (user) fs.chownSync(dir, user.uid, user.gid);
    return dir;
  }

  #start(test, way, slot, dir) {
    const { node, cwd, user } = this.settings;
    const stdout = fs.openSync(path.join(dir, 'stdout'), 'w');
    const stderr = fs.openSync(path.join(dir, 'stderr'), 'w');
    const child = spawn(node, [...test.flags, test.file], {
      cwd,
      detached: true,
      stdio: ['ignore', stdout, stderr],
      uid: user?.uid,
      gid: user?.gid,
      env: {
        ...environment(way),
        ...(user && { HOME: dir, USER: user.name, LOGNAME: user.name }),
        NODE_TEST_DIR: dir,
        NODE_COMMON_PORT: String(commonPort),
        TEST_PARALLEL: test.sequential ? '0' : '1',
        TEST_SERIAL_ID: String(this.#serial),
        TEST_THREAD_ID: String(slot),
        ...test.env,
      },
    });
    fs.closeSync(stdout);
    fs.closeSync(stderr);
    return { child, tree: new ProcessTree(child.pid, `NODE_TEST_DIR=${dir}`) };
  }

  /** For a runner that is about to exit itself. */
  killNow() {
    for (const tree of this.#trees) tree.killNow();
  }
}

/** Two suites at once shall not meet at the fixed ports of tests in sequential/; below the ephemeral ones. */
const commonPort = 12_346 + 100 * (process.pid % 200);

/** @returns {Promise<{ code: number | null, signal: string | null } | { error: Error } | 'timeout'>} */
function ended(child, timeout) {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, timeout, 'timeout');
    const done = end => {
      clearTimeout(timer);
      resolve(end);
    };
    child.on('exit', (code, signal) => done({ code, signal }));
    child.on('error', error => done({ error }));
  });
}

function judge(end, left, stdout) {
  const names = left.map(({ pid, command }) => `${pid} ${command}`).join('; ');
  const fail = why => ({ status: 'fail', why });
  if (end === 'timeout') return fail(`timeout; alive: ${names}`);
  if (end.error) return fail(String(end.error));
  if (end.code !== 0) return fail(end.signal ?? `exit code ${end.code}`);
  if (left.length > 0) return fail(`left-over processes: ${names}`);
  return { status: /^1\.\.0 # Skipped/m.test(stdout) ? 'skip' : 'pass', why: '' };
}

function read(dir, name) {
  return fs.readFileSync(path.join(dir, name), 'utf8');
}

module.exports = { Runner };
