'use strict';

// What a worker tells the primary of the program's own metrics: text, in memory that both have (src/processes/sheet.rs).
// It is written when the primary asks, which it does once a second while somebody reads: so what a worker that is killed
// has counted is there but for the last moment of it. Where nobody reads, nothing is done.

const native = require('../native').load();

const errors = () => require('../errors');

/** Of its processor time one in so many goes into the texts; but what is older than three seconds is late. */
const SHARE = 20;
const LONGEST_REST = 2000;

/** prom-client's file, wherever it is installed. */
const PROM_CLIENT = /[\\/]node_modules[\\/]prom-client[\\/]index\.js$/;

class Collector {
  #sources = new Set();
  #sheet;
  #given = {};
  /** Before that it is not written again, and if somebody asks meanwhile, then. */
  #rests = 0;
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
    try {
      this.#sheet = new native.Sheet(sheet, bell, () => this.#asked());
    } catch (error) {
      // The memory cannot be had: the worker serves all the same.
      this.#warn(error.message);
      return;
    }
    // What was counted last is counted, too. A source that goes on for longer comes once.
    process.once('beforeExit', () => this.write());
    process.on('exit', () => this.#writeNow());
  }

  #asked() {
    const rest = this.#rests - performance.now();
    if (rest <= 0) this.write();
    else this.#timer ??= setTimeout(() => this.write(), rest).unref();
  }

  /** Writes it all; while that goes on, it is not begun again. */
  write() {
    if (this.#sheet) this.#writing ??= this.#write();
  }

  async #write() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const before = process.cpuUsage();
    try {
      const texts = await Promise.all(this.#all().map(textOf));
      const flaw = this.#publish(texts);
      if (flaw) this.#warn(flaw);
    } catch (error) {
      this.#warn(error?.message ?? error);
    }
    // Also where there was nothing to publish: else it would not be asked again.
    this.#sheet.answer();
    this.#writing = undefined;
    // Not the time that went by: on a busy machine that is others'.
    const { user, system } = process.cpuUsage(before);
    this.#rests = performance.now() + Math.min((SHARE * (user + system)) / 1000, LONGEST_REST);
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
