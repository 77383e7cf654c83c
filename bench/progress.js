'use strict';

const { stderr } = process;

/** Tells, on one line of a terminal, or a line a round elsewhere, what is going on. */
class Progress {
  #begin = performance.now();
  #rounds;
  #case;
  #place;

  /** @param {{ name: string, place: string, rounds: number }} benchmark `place`: which one of how many */
  constructor({ name, place, rounds }) {
    this.#case = name;
    this.#place = place;
    this.#rounds = rounds;
  }

  step = ({ round, rival }) => {
    const line = `[${this.#place}] ${this.#case}: round ${round + 1} of ${this.#rounds}`;
    if (stderr.isTTY) stderr.write(`\r\x1b[K${line}, ${rival}`);
    else if (this.#last !== line) stderr.write(`${line}\n`);
    this.#last = line;
  };

  #last = '';

  end() {
    const seconds = ((performance.now() - this.#begin) / 1000).toFixed(0);
    stderr.write(`${stderr.isTTY ? '\r\x1b[K' : ''}[${this.#place}] ${this.#case}: ${seconds} s\n\n`);
  }
}

module.exports = Progress;
