'use strict';

// Lines for a stream that workers write to as well. What waits in a stream Node writes together, and of that the kernel
// takes a part where a slow reader has left no room for more: then another process's line comes in the middle of one. So
// a line is written once the one before it is with the kernel, which takes up to 4096 bytes as a whole.

/** How long whoever reads them may read nothing at the end, in milliseconds. */
const PATIENCE = 1000;

class Lines {
  #stream;
  #waiting = [];
  #end;
  #patience;

  /** @param {NodeJS.WritableStream} stream nobody else in this process writes to it */
  constructor(stream) {
    this.#stream = stream;
  }

  /** @param {string} line without its end */
  write(line) {
    if (this.#isBusy) this.#waiting.push(`${line}\n`);
    else this.#stream.write(`${line}\n`, this.#next);
  }

  /** When the kernel has all of them, or nobody reads any more. */
  written() {
    if (!this.#isBusy) return Promise.resolve();
    return new Promise(resolve => {
      this.#end = resolve;
      this.#patience = setTimeout(resolve, PATIENCE);
    });
  }

  get #isBusy() {
    return this.#waiting.length > 0 || this.#stream.writableLength > 0;
  }

  #next = () => {
    if (this.#stream.writableLength > 0) return;
    this.#patience?.refresh();
    if (this.#waiting.length > 0) this.#stream.write(this.#waiting.shift(), this.#next);
    else this.#end?.();
  };
}

module.exports = { Lines };
