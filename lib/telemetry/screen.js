'use strict';

// What `rust-cluster top` shows: lines of text, for a terminal of any size.

const BOLD = 1;
const COLOURS = { starting: 34, ready: 32, draining: 33, stuck: 31, empty: 31 };
/** A slot's life in letters: it is to be read without colours, too. */
const LETTERS = { starting: '+', ready: '=', draining: '-', stuck: '!', empty: ' ' };
const LIFE = 24;
/** What a letter of it stands for. */
const STEP = 5000;
const LONGEST = LIFE * STEP;

/** Without what a terminal would obey. */
const plain = value => String(value).replace(/\p{C}/gu, '?');

class Screen {
  #history;
  #measures;
  #words;
  #colours;
  #first = 0;
  #lost;

  /** @param {boolean} colours */
  static async make(colours) {
    const [history, measures, words] = await Promise.all(
      ['history', 'measures', 'words'].map(name => import(`./page/${name}.mjs`)),
    );
    const screen = new Screen();
    screen.#history = new history.History(LONGEST);
    screen.#measures = measures;
    screen.#words = words;
    screen.#colours = colours;
    return screen;
  }

  add(status) {
    this.#history.add(status);
    this.#lost = undefined;
  }

  /** There was no answer: what is shown is of before. @param {string} why */
  lose(why) {
    this.#lost ??= { since: new Date(), why };
  }

  /** By so many slots. */
  scroll(by) {
    this.#first = Math.max(0, Math.min(this.#first + by, this.#history.status.slots.length - 1));
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  lines(width, height) {
    const head = this.#head().flatMap(line => fold(line, width));
    const table = this.#table(width);
    const lost = this.#lost ? [`No answer since ${clock(this.#lost.since)}:`, plain(this.#lost.why)] : [];
    const above = [...fold(lost, width).map(line => this.#paint(31, line)), ...head, ''];
    const room = Math.max(1, height - above.length - 1);
    const first = Math.min(this.#first, Math.max(0, table.rows.length - room));
    const rows = room === Infinity ? table.rows : table.rows.slice(first, first + room);
    return [...above, this.#paint(BOLD, table.title), ...rows].slice(0, height);
  }

  #paint(code, text) {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  /** What there is to say of all of it: lines, each of them a list of phrases. */
  #head() {
    const { status, points } = this.#history;
    const { acceptor, primary = {}, slots, reload } = status;
    const { count, duration, bytes, percent, age } = this.#words;
    const point = points.at(-1);
    const { half, most } = this.#history.handoff();
    const sum = read => slots.reduce((all, slot) => all + (read(slot) ?? 0), 0);
    const { all, causes } = this.#measures.exitsOf(status);
    const ready = this.#measures.states(slots).get('ready') ?? 0;
    const reloading = reload?.state === 'running' && `reload ${count(reload.done)} of ${count(reload.of)}`;
    const phrases = [
      [
        `rust-cluster ${status.version}`,
        `pid ${status.pid}`,
        `up ${age(status.uptime)}`,
        this.#measures.readiness(status),
      ],
      [
        `${count(point.accepted)} connections/s`,
        `${count(sum(({ open }) => open))} open`,
        `${count(acceptor.waiting)} waiting`,
        `${count(sum(({ queued }) => queued))} queued`,
        `accept to worker ${duration(half)}`,
        `99% within ${duration(most)}`,
      ],
      [
        `${ready} of ${slots.length} ready`,
        `${count(status.starts)} starts`,
        `${count(all)} exits${causes ? ` (${causes})` : ''}`,
        `${count(status.stuck_episodes)} stuck`,
        `${count(acceptor.taken_back)} taken back`,
        ...(reloading ? [reloading] : []),
      ],
      [
        `memory ${bytes(sum(({ rss }) => rss))}`,
        primary.stuck ? `primary stuck for ${duration(primary.lag)}` : `primary lag ${duration(primary.lag)}`,
        `primary CPU ${percent(point.primaryShare)}`,
        `acceptor CPU ${percent(point.cpuShare)}`,
      ],
    ];
    return phrases.map(line => line.map(plain));
  }

  /** The columns that fit, and a row for each slot. */
  #table(width) {
    const { status, points } = this.#history;
    const columns = this.#columns();
    const rows = points.at(-1).slots.map(slot => columns.map(({ show }) => plain(show(slot))));
    const widths = columns.map(({ title }, index) =>
      Math.max(title.length, ...rows.map(row => row[index].length)),
    );
    const chosen = fitting(columns, widths, width);
    const write = (row, paint = (_, text) => text) =>
      chosen
        .map(index =>
          paint(
            index,
            columns[index].left ? row[index].padEnd(widths[index]) : row[index].padStart(widths[index]),
          ),
        )
        .join('  ')
        .trimEnd();
    const cut = text => (text.length > width ? text.slice(0, width) : text);
    return {
      title: cut(write(columns.map(({ title }) => title))),
      rows: rows.map((row, index) => {
        if (write(row).length > width) return cut(write(row));
        const { state } = status.slots[index];
        return write(row, (at, text) =>
          columns[at].title === 'state' && Object.hasOwn(COLOURS, state)
            ? this.#paint(COLOURS[state], text)
            : text,
        );
      }),
    };
  }

  /** `rank`: those of the least stay longest where a terminal is narrow. */
  #columns() {
    const { count, duration, bytes, percent, age, text } = this.#words;
    const { time } = this.#history.status;
    const shares = this.#history.shares();
    return [
      { title: 'slot', rank: 0, show: ({ slot }) => text(slot) },
      { title: 'state', rank: 0, left: true, show: ({ state }) => text(state) },
      {
        title: 'for',
        rank: 2,
        show: ({ since }) => age(typeof since === 'number' ? (time - since) / 1000 : null),
      },
      { title: 'pid', rank: 7, show: ({ pid }) => text(pid) },
      { title: 'filled', rank: 10, show: ({ generation }) => count(generation) },
      { title: 'conn/s', rank: 1, show: ({ rate }) => count(rate) },
      { title: 'share', rank: 8, show: ({ slot }) => percent(shares.get(slot)) },
      { title: 'open', rank: 3, show: ({ open }) => count(open) },
      { title: 'queued', rank: 5, show: ({ queued }) => count(queued) },
      { title: 'lag', rank: 2, show: ({ lag }) => duration(lag) },
      { title: 'busy', rank: 4, show: ({ utilization }) => percent(utilization) },
      { title: 'cpu', rank: 6, show: ({ cpuShare }) => percent(cpuShare) },
      { title: 'heap', rank: 9, show: ({ heap }) => bytes(heap) },
      { title: 'rss', rank: 4, show: ({ rss }) => bytes(rss) },
      { title: 'msg/s to', rank: 11, show: ({ sent }) => count(sent) },
      { title: 'from', rank: 11, show: ({ received }) => count(received) },
      { title: 'last 2 min', rank: 9, left: true, show: ({ slot }) => this.#life(slot) },
    ];
  }

  /** The last two minutes, five seconds a letter: the worst state of each. */
  #life(slot) {
    const { time } = this.#history.status;
    const spans = this.#history.lives.get(slot)?.spans ?? [];
    const worst = ['stuck', 'empty', 'starting', 'draining', 'ready'];
    return Array.from({ length: LIFE }, (_, index) => {
      const from = time - LONGEST + index * STEP;
      const there = spans.filter(span => span.from < from + STEP && span.to > from).map(({ state }) => state);
      const state = worst.find(each => there.includes(each));
      return state ? LETTERS[state] : '.';
    }).join('');
  }
}

const clock = date => date.toTimeString().slice(0, 8);

/** Phrases, on as many lines as they need. @returns {string[]} */
function fold(phrases, width) {
  const lines = [];
  for (const phrase of phrases) {
    const joined = lines.length > 0 ? `${lines.at(-1)}  ${phrase}` : phrase;
    if (lines.length > 0 && joined.length <= width) lines[lines.length - 1] = joined;
    else lines.push(phrase.slice(0, width));
  }
  return lines;
}

/** The columns that have room, by their rank, in their order. */
function fitting(columns, widths, width) {
  const order = [...columns.keys()].sort((one, other) => columns[one].rank - columns[other].rank);
  const chosen = [];
  let used = -2;
  for (const index of order) {
    used += widths[index] + 2;
    if (used > width && chosen.length > 0) break;
    chosen.push(index);
  }
  return chosen.sort((one, other) => one - other);
}

module.exports = { Screen };
