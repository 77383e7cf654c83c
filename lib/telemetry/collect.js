'use strict';

// What a worker tells the primary of the program's own metrics: text, in memory that both have (src/processes/sheet.rs).
// It is written when somebody asks, and for a while afterwards once a second: so what a worker that is killed has
// counted is there but for the last moment of it. Where nobody asks, nothing is done.

const native = require('../native').load();

const errors = () => require('../errors');

/** For how long somebody who has asked may ask again, in milliseconds. */
const LATELY = 180_000;

/** How long lies between two texts, at least, in milliseconds; and of the time so little goes into them. */
const PAUSE = 1000;
const SHARE = 100;

/** prom-client's file, wherever it is installed. */
const PROM_CLIENT = /[\\/]node_modules[\\/]prom-client[\\/]index\.js$/;

class Collector {
  #sources = new Set();
  #sheet;
  #given = {};
  #until = 0;
  #timer;
  #writing;
  #warned = false;

  /**
   * Collects from a source besides.
   * @param {{ metrics(): string | Promise<string> } | (() => string | Promise<string>)} source
   */
  add(source) {
    this.#sources.add(source);
  }

  /** The primary gives a descriptor. */
  take(part, fd) {
    this.#given[part] = fd;
    const { sheet, bell } = this.#given;
    if (this.#sheet || !(sheet >= 0 && bell >= 0)) return;
    this.#sheet = new native.Sheet(sheet, bell, () => this.#asked());
    // What was counted last is counted, too. A source that goes on for longer comes once.
    process.once('beforeExit', () => this.write());
    process.on('exit', () => this.#writeNow());
  }

  #asked() {
    this.#until = performance.now() + LATELY;
    this.write();
  }

  /** Writes it all; while that goes on, it is not begun again. */
  write() {
    if (this.#sheet) this.#writing ??= this.#write();
  }

  async #write() {
    const began = performance.now();
    try {
      const texts = await Promise.all(this.#all().map(textOf));
      const flaw = this.#publish(texts);
      if (flaw) this.#warn(flaw);
    } catch (error) {
      this.#warn(error?.message ?? error);
    }
    this.#writing = undefined;
    const now = performance.now();
    clearTimeout(this.#timer);
    if (now > this.#until) return;
    this.#timer = setTimeout(() => this.write(), Math.max(PAUSE, SHARE * (now - began)));
    this.#timer.unref();
  }

  /** Nothing can be waited for any more. */
  #writeNow() {
    try {
      const texts = this.#all().map(source => (typeof source === 'function' ? source() : undefined));
      if (texts.length > 0 && texts.every(text => typeof text === 'string')) this.#publish(texts);
    } catch {
      // What was said last stands.
    }
  }

  #all() {
    if (this.#sources.size > 0) return [...this.#sources];
    const register = promClient()?.register;
    return typeof register?.metrics === 'function' ? [register] : [];
  }

  /** @returns {string | undefined} why it could not be */
  #publish(texts) {
    const wrong = texts.findIndex(text => typeof text !== 'string');
    if (wrong >= 0) return `a source gave ${typeof texts[wrong]}, and no text`;
    const text = texts.join('\n');
    return this.#sheet.publish(text) ? undefined : `${text.length} characters are too many`;
  }

  /** Once: it comes again and again. */
  #warn(reason) {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(errors().noMetrics(reason));
  }
}

const textOf = source => (typeof source === 'function' ? source() : source.metrics());

/** What the program has loaded already; it is not loaded for this. */
function promClient() {
  const { _cache: cache } = require('node:module');
  const file = Object.keys(cache).find(name => PROM_CLIENT.test(name));
  return file && cache[file].exports;
}

module.exports = { Collector };
