'use strict';

// rust-cluster top: what the live view shows, in a terminal. It asks the thread that answers, and nobody else, so that
// it goes on while the JavaScript of either side hangs.

const readline = require('node:readline');
const { readStatus } = require('./client');
const { Screen } = require('./screen');

const SECOND = 1000;

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';

/** By how many slots a key scrolls. */
const SCROLLS = { up: -1, k: -1, down: 1, j: 1, pageup: -10, pagedown: 10 };

/**
 * Shows it until somebody ends it, or once where there is no terminal.
 * @param {import('./client').Place} place where the cluster answers
 * @param {{ json?: boolean, input?: NodeJS.ReadStream, output?: NodeJS.WriteStream, colours: boolean }} how
 */
async function top(place, { json, input = process.stdin, output = process.stdout, colours }) {
  const first = await readStatus(place);
  if (json) return void output.write(`${JSON.stringify(first)}\n`);
  const screen = await Screen.make(colours);
  screen.add(first);
  if (!output.isTTY) return once(place, screen, output);
  return new Top(place, screen, input, output).run();
}

/** What there is a second of lies between two looks. */
async function once(place, screen, output) {
  await new Promise(resolve => setTimeout(resolve, SECOND));
  screen.add(await readStatus(place));
  output.write(`${screen.lines(Infinity, Infinity).join('\n')}\n`);
}

class Top {
  #place;
  #screen;
  #input;
  #output;
  #timer;
  #end;

  constructor(place, screen, input, output) {
    this.#place = place;
    this.#screen = screen;
    this.#input = input;
    this.#output = output;
  }

  /** @returns {Promise<void>} once it was ended, and the terminal is as it was */
  run() {
    return new Promise(resolve => {
      const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
      // The terminal has gone: what is written as a good-bye fails, too.
      const gone = () => {
        this.#end?.();
        resolve();
      };
      const end = () => {
        this.#end = undefined;
        clearTimeout(this.#timer);
        for (const signal of signals) process.off(signal, end);
        this.#output.off('resize', this.#draw);
        this.#input.off('keypress', this.#press);
        this.#input.off('end', gone);
        if (this.#input.isTTY) this.#input.setRawMode(false);
        this.#input.pause();
        this.#output.write(LEAVE, () => resolve());
      };
      this.#end = end;
      for (const signal of signals) process.on(signal, end);
      for (const stream of [this.#input, this.#output]) stream.on('error', gone);
      this.#output.on('resize', this.#draw);
      if (this.#input.isTTY) this.#listen().on('end', gone);
      this.#output.write(ENTER);
      this.#draw();
      this.#wait();
    });
  }

  #listen() {
    readline.emitKeypressEvents(this.#input);
    return this.#input.setRawMode(true).on('keypress', this.#press).resume();
  }

  #wait() {
    this.#timer = setTimeout(() => this.#look(), SECOND);
  }

  async #look() {
    try {
      this.#screen.add(await readStatus(this.#place));
    } catch ({ why, message }) {
      this.#screen.lose(why ?? message);
    }
    if (!this.#end) return;
    this.#draw();
    this.#wait();
  }

  /** In place: nothing is wiped before what takes its place is there, or it would flicker. */
  #draw = () => {
    const { columns = 80, rows = 24 } = this.#output;
    const lines = this.#screen.lines(columns, rows);
    this.#output.write(`\x1b[H${lines.map(line => `${line}\x1b[K`).join('\r\n')}\x1b[J`);
  };

  #press = (_, { name, ctrl }) => {
    if (name === 'q' || (ctrl && (name === 'c' || name === 'd'))) this.#end?.();
    else if (Object.hasOwn(SCROLLS, name ?? '')) this.#screen.scroll(SCROLLS[name]);
    if (this.#end) this.#draw();
  };
}

module.exports = { top };
