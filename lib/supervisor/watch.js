'use strict';

// While developing: a file changes, and the workers are replaced. Watched is what the workers have loaded, which Node
// tells for `node --watch`, or what the user names.

const fs = require('node:fs');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

const errors = require('../errors');

/** How long nothing has changed before a reload begins, in milliseconds: a build, and some editors, write in steps. */
const QUIET = 150;

/** Folders in which nobody works. */
const PASSED_OVER = new Set(['node_modules']);

/** What editors write beside a file. */
const isScratch = name => name.startsWith('.') || name.endsWith('~') || /^\d+$/.test(name);

/**
 * Reloads when something changes, until the supervisor stops.
 * @param {import('./supervise').Supervisor} supervisor
 * @param {object} what
 * @param {string[]} [what.paths] files and folders with all that is in them; else what the workers load
 * @param {string[]} [what.files] besides
 */
function watch(supervisor, { paths, files = [] } = {}) {
  const watched = new Watched(file => reloader.changed(file));
  const reloader = new Reloader(supervisor, () => watched.close());
  for (const file of files) watched.addFile(path.resolve(file));
  if (paths) for (const each of paths) watched.add(path.resolve(each));
  else supervisor.on('dependencies', list => watched.addLoaded(list));
}

/** Reloads one after the other, each with all that has changed before it. */
class Reloader {
  #supervisor;
  #changes = new Set();
  #reloading = false;
  #timer;

  constructor(supervisor, stop) {
    this.#supervisor = supervisor;
    supervisor.on('report', ({ event }) => {
      if (event === 'reload-started') this.#reloading = true;
      else if (event === 'reload-done' || event === 'reload-failed') {
        this.#reloading = false;
        if (this.#changes.size > 0) this.#wait();
      } else if (event === 'stopping') {
        clearTimeout(this.#timer);
        this.#changes.clear();
        stop();
      }
    });
  }

  changed(file) {
    this.#changes.add(file);
    this.#wait();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reload(), QUIET);
  }

  /** Who asks while a reload runs joins it; but its workers may have loaded what was there before. */
  #reload() {
    if (this.#reloading || this.#changes.size === 0) return;
    this.#supervisor.emit('report', { time: Date.now(), event: 'changed', files: [...this.#changes] });
    this.#changes.clear();
    // Why it failed is told by a report; the next change tries again.
    this.#supervisor.reload().catch(() => {});
  }
}

/** Files, by way of the folders in which they are: editors put a new file in the place of the old one. */
class Watched {
  #onchange;
  #files = new Set();
  #folders = new Map();
  /** Folders all of which counts. */
  #wholes = new Set();
  #warned = false;

  constructor(onchange) {
    this.#onchange = onchange;
  }

  /** @param {unknown[]} list paths, and URLs of modules; nothing that a worker says is sure */
  addLoaded(list) {
    for (const each of list.filter(name => typeof name === 'string')) {
      if (each.startsWith('file:')) this.addFile(fileURLToPath(each));
      else if (path.isAbsolute(each)) this.addFile(each);
    }
  }

  add(each) {
    if (fs.statSync(each, { throwIfNoEntry: false })?.isDirectory()) this.#addWhole(each);
    else this.addFile(each);
  }

  addFile(file) {
    if (this.#files.has(file)) return;
    this.#files.add(file);
    this.#watchFolder(path.dirname(file));
  }

  close() {
    for (const watcher of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #addWhole(folder) {
    if (this.#wholes.has(folder)) return;
    this.#wholes.add(folder);
    this.#watchFolder(folder);
    for (const entry of list(folder)) if (entry.isDirectory()) this.#addWhole(path.join(folder, entry.name));
  }

  #watchFolder(folder) {
    if (this.#folders.has(folder)) return;
    try {
      const watcher = fs.watch(folder, (event, name) => this.#onevent(folder, event, name));
      watcher.on('error', error => this.#leave(folder, error));
      this.#folders.set(folder, watcher);
    } catch (error) {
      this.#leave(folder, error);
    }
  }

  #onevent(folder, event, name) {
    const file = path.join(folder, `${name}`);
    const whole = this.#wholes.has(folder) && !isScratch(`${name}`) && !PASSED_OVER.has(name);
    if (whole && event === 'rename' && fs.statSync(file, { throwIfNoEntry: false })?.isDirectory())
      this.#addWhole(file);
    if (whole || this.#files.has(file)) this.#onchange(file);
  }

  /** A folder that is gone has nothing to tell; too many of them is told once. */
  #leave(folder, error) {
    this.#folders.get(folder)?.close();
    this.#folders.delete(folder);
    if (error.code === 'ENOENT' || this.#warned) return;
    this.#warned = true;
    process.emitWarning(errors.unwatched(folder, error));
  }
}

function list(folder) {
  try {
    const entries = fs.readdirSync(folder, { withFileTypes: true });
    return entries.filter(({ name }) => !isScratch(name) && !PASSED_OVER.has(name));
  } catch {
    return [];
  }
}

module.exports = { watch };
