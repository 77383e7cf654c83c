'use strict';

// What the command prints: a line an event, for people or as JSON.

const { WriteStream } = require('node:tty');
const { Lines } = require('./lines');

const [RED, GREEN, YELLOW, GREY] = [31, 32, 33, 90];

/** Milliseconds, for people. */
function time(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 100_000 ? `${+(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

/** Bytes, for people. */
function size(bytes) {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;
const amount = (limit, value) => {
  if (limit === 'memory') return size(value);
  return limit === 'lifetime' ? time(value) : value;
};

const the = worker => (worker === undefined ? '' : `worker ${worker} `);

/** What they tell is about a slot, or all of it, and names the worker itself. */
const NOT_OF_WORKERS = new Set(['reload-failed', 'replace-failed', 'scale-failed']);

/** The words for an event: after who it is, and in which colour. */
const WORDS = {
  starting: ({ version, program, workers, why }) => [
    `rust-cluster ${version}: ${program}, ${plural(workers, 'worker')}, ${why}`,
  ],
  'all-ready': ({ addresses, workers, why, after }) => [
    `ready after ${time(after)}: ${addresses.join(', ') || 'no address'}, ${plural(workers, 'worker')}, ${why}`,
    GREEN,
  ],
  warning: ({ message, code }) => [`${message} [${code}]`, YELLOW],
  'unused-socket': ({ socket, address }) => [
    `nobody listens on ${address}, a socket of the service manager's (${socket}): clients wait there`,
    YELLOW,
  ],
  forked: () => ['was started', GREY],
  ready: ({ after }) => [`is ready${after === undefined ? '' : ` after ${time(after)}`}`, GREEN],
  exited: ({ code, signal, uptime, expected }) => [
    `has ended (${signal ?? code})${uptime === undefined ? '' : ` after ${time(uptime)}`}`,
    expected ? GREY : RED,
  ],
  'fork-failed': ({ why }) => [`could not be started: ${why}`, RED],
  'not-ready': ({ why }) => [why, RED],
  restarting: report => [`is started again in ${time(report.in)}`, YELLOW],
  braked: report => [`too many restarts: the next one in ${time(report.in)}`, YELLOW],
  'stays-down': ({ code }) => [`stays down, as exit code ${code} asks for`, YELLOW],
  changed: ({ files }) => [`changed: ${files.join(', ')}`],
  'reload-started': ({ slots }) => [
    `reload: ${slots === undefined ? 'all' : plural(slots, 'worker')}, one after the other`,
  ],
  'reload-done': ({ replaced }) => [`reload is done: ${plural(replaced, 'worker')} replaced`, GREEN],
  'reload-failed': ({ why, worker }) => [`reload failed, the old workers stay: ${the(worker)}${why}`, RED],
  replacing: ({ cause }) => [`is replaced (${cause})`, GREY],
  replaced: ({ cause }) => [`took over (${cause})`],
  'replace-failed': ({ cause, why, worker }) => [
    `could not be replaced (${cause}): ${the(worker)}${why}`,
    RED,
  ],
  draining: ({ within }) => [`takes nothing new, and has ${time(within)} for what is under way`, GREY],
  deadline: ({ signal }) => [`is not done in time: ${signal ?? 'SIGTERM'}, and requests are cut off`, RED],
  killed: () => ['was killed', RED],
  broken: ({ why }) => [why, RED],
  'stuck-at': ({ doing }) => [doing, RED],
  stuck: report => [`is stuck: its loop has not turned for ${time(report.for)}`, RED],
  'turns-again': () => ['turns again', GREEN],
  'limit-refused': ({ limit, value, most }) => [
    `already has ${amount(limit, value)} when it is fresh, and the limit is ${amount(limit, most)}: ${limit} is no limit until the next reload`,
    RED,
  ],
  scaling: ({ from, to }) => [`from ${from} to ${plural(to, 'worker')}`],
  scaled: ({ count }) => [`scaled${count === undefined ? '' : ` to ${plural(count, 'worker')}`}`, GREEN],
  'scale-failed': ({ why, worker }) => [`scale failed: ${the(worker)}${why}`, RED],
  stopping: ({ delay }) => [delay ? `stops in ${time(delay)}, and serves until then` : 'stops'],
  'gave-up': ({ why }) => [`gives up: ${why}`, RED],
  stopped: ({ code }) => [`has stopped (${code})`, code ? RED : undefined],
};

/** Too much for people. */
const SILENT = new Set(['online', 'listening', 'disconnected']);

/** What is known of an event that has no words here. */
function plain({ event, ...rest }) {
  const known = Object.entries(rest).filter(([key]) => !['time', 'slot', 'worker', 'pid'].includes(key));
  return [
    [
      event,
      ...known.map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`),
    ].join(' '),
  ];
}

/** Whether a stream shows colours: a terminal, or who asks for them. */
function isColoured(stream, environment) {
  if (!stream.isTTY && environment.FORCE_COLOR === undefined) return false;
  return WriteStream.prototype.getColorDepth.call(stream, environment) > 1;
}

/**
 * @param {Record<string, any>} report
 * @param {boolean} coloured
 * @returns {string | undefined} a line for people; undefined where there is nothing to say
 */
function line(report, coloured = false) {
  const { event, slot, worker, pid } = report;
  // The first time the command says why there are so many; later it is a matter of course.
  if (SILENT.has(event) || (event === 'all-ready' && !report.why)) return undefined;
  const [text, colour] = (Object.hasOwn(WORDS, event) ? WORDS[event] : plain)(report);
  const isOfWorker = worker !== undefined && !NOT_OF_WORKERS.has(event);
  const who = isOfWorker ? `worker ${worker}${pid === undefined ? '' : ` (pid ${pid})`} ` : '';
  const clock = new Date(report.time ?? Date.now()).toTimeString().slice(0, 8);
  // What a worker has said may be anything.
  const said = printable(`${who}${text}`);
  return `${clock}  ${slot === undefined ? '' : `slot ${slot}  `}${coloured && colour ? `\x1b[${colour}m${said}\x1b[39m` : said}`;
}

/** Without what a terminal would obey. */
function printable(text) {
  return text.replace(/\p{Cc}/gu, character =>
    '\n\t'.includes(character) ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

class Output {
  #lines;
  #format;
  #coloured;

  /**
   * @param {NodeJS.WriteStream} stream
   * @param {'text' | 'json'} [format]
   */
  constructor(stream, format = 'text') {
    this.#lines = new Lines(stream);
    this.#format = format;
    this.#coloured = isColoured(stream, process.env);
    // Whoever reads it may go; the server does not.
    stream.on('error', () => {});
  }

  /** @param {Record<string, any>} report */
  print(report) {
    const timed = { time: Date.now(), ...report };
    const text = this.#format === 'json' ? JSON.stringify(timed) : line(timed, this.#coloured);
    if (text !== undefined) this.#lines.write(text);
  }

  /** @param {Error & { code?: string, lines?: string[] }} error `lines` are a worker's last words */
  error({ code, message, lines = [] }) {
    if (this.#format === 'json')
      this.print({ event: 'error', code, message, ...(lines.length > 0 && { lines }) });
    else this.#lines.write(`rust-cluster: ${printable(message)}${code ? ` [${code}]` : ''}`);
    if (this.#format === 'text') for (const words of lines) this.#lines.write(`  ${printable(words)}`);
  }

  /** When the kernel has all that was printed, or nobody reads it. */
  written() {
    return this.#lines.written();
  }
}

module.exports = { Output, isColoured, line, time, size, WORDS, SILENT };
