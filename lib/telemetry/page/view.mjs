// The page: what comes from the thread that answers goes into a history, and from there onto the page, as text.

import { Charts } from './charts.mjs';
import { History } from './history.mjs';
import { drawLegend, Lives, set } from './life.mjs';
import { exitsOf, readiness, states } from './measures.mjs';
import { Source } from './source.mjs';
import { Table } from './table.mjs';
import { age, bytes, count, duration, percent, text } from './words.mjs';

/** The longest time that can be shown. */
const LONGEST = 900_000;
/** What changes is said at most so often. */
const NEWS = 3000;

const sum = (rows, read) => rows.reduce((all, row) => all + (read(row) ?? 0), 0);

/** @type {(shares: Map<number, number | null>, now: () => number) => import('./table.mjs').Column[]} */
const slotColumns = (shares, now) => [
  { title: 'Slot', value: ({ slot }) => slot, show: text },
  {
    title: 'State',
    value: ({ state }) => text(state),
    isWords: true,
    name: ({ state }) => (/^[a-z]+$/.test(state) ? `state-${state}` : ''),
  },
  {
    title: 'For',
    value: ({ since }) => (typeof since === 'number' ? (now() - since) / 1000 : null),
    show: age,
  },
  { title: 'Worker', value: ({ worker }) => worker, show: text },
  { title: 'PID', value: ({ pid }) => pid, show: text },
  { title: 'Filled', value: ({ generation }) => generation, show: count },
  { title: 'Conn./s', value: ({ rate }) => rate, show: count },
  { title: 'Share', value: ({ slot }) => shares().get(slot) ?? null, show: percent, meter: true },
  { title: 'Open', value: ({ open }) => open, show: count },
  { title: 'Queued', value: ({ queued }) => queued, show: count },
  { title: 'Lag', value: ({ lag }) => lag, show: duration },
  { title: 'Busy', value: ({ utilization }) => utilization, show: percent },
  { title: 'CPU', value: ({ cpuShare }) => cpuShare, show: percent },
  { title: 'Heap', value: ({ heap }) => heap, show: bytes },
  { title: 'RSS', value: ({ rss }) => rss, show: bytes },
  { title: 'Msg./s to', value: ({ sent }) => sent, show: count },
  { title: 'from', value: ({ received }) => received, show: count },
];

const PORT_COLUMNS = [
  { title: 'Address', value: ({ address }) => text(address) },
  { title: 'Accepted', value: ({ accepted }) => accepted, show: count },
  { title: 'Accepted/s', value: ({ rate }) => rate, show: count },
  { title: 'Waiting', value: ({ waiting }) => waiting, show: count },
];

/** The numbers of the whole cluster: each has a name, a value, and perhaps more. */
function numbersOf(status, point, history) {
  const { acceptor = {}, primary = {}, slots = [], reload } = status;
  const { half, most } = history.handoff();
  const exits = exitsOf(status);
  return [
    [
      'Ready',
      `${states(slots).get('ready') ?? 0} of ${slots.length}`,
      reload?.state === 'running' && `reload: ${count(reload.done)} of ${count(reload.of)}`,
    ],
    ['Connections/s', count(point.accepted), `${count(acceptor.accepted)} accepted`],
    ['Open', count(sum(slots, ({ open }) => open))],
    [
      'Waiting',
      count(acceptor.waiting),
      `${count(sum(slots, ({ queued }) => queued))} queued, ${count(acceptor.parked)} parked`,
    ],
    ['Accept to worker', duration(half), `99% within ${duration(most)}`],
    ['Memory', bytes(sum(slots, ({ rss }) => rss))],
    ["Primary's lag", duration(primary.lag), primary.stuck ? 'its loop does not turn' : bytes(primary.rss)],
    ["Primary's CPU", percent(point.primaryShare), `acceptor ${percent(point.cpuShare)}`],
    ['Taken back', count(acceptor.taken_back), `${count(acceptor.refused)} refused`],
    ['Starts', count(status.starts)],
    ['Exits', count(exits.all), exits.causes],
    ['Stuck', count(status.stuck_episodes), 'episodes'],
  ];
}

export class View {
  #window;
  #document;
  #history = new History(LONGEST);
  #source;
  #paused = false;
  #seconds = 300;
  #shares = new Map();
  #parts;
  #numbers = new Map();
  #changes = new Map();
  #lastNews = 0;

  /** @param {Window} window */
  constructor(window) {
    this.#window = window;
    this.#document = window.document;
    this.#source = new Source(
      window,
      status => this.#hear(status),
      lost => this.#tellConnection(lost),
    );
  }

  start() {
    const now = () => this.#history.status?.time ?? 0;
    drawLegend(this.#find('legend'));
    this.#parts = {
      lives: new Lives(this.#find('life')),
      slots: new Table(
        this.#find('slots'),
        'A row for each slot, as of the last second',
        slotColumns(() => this.#shares, now),
      ),
      ports: new Table(this.#find('ports'), 'What the cluster listens on', PORT_COLUMNS),
      charts: new Charts(this.#window, this.#find('charts')),
    };
    this.#find('window').addEventListener('change', ({ target }) => {
      this.#seconds = Number(target.value);
      this.#draw();
    });
    this.#find('pause').addEventListener('click', () => this.#pause());
    this.#document.addEventListener('visibilitychange', () => this.#draw());
    this.#source.open();
  }

  #find(id) {
    return this.#document.getElementById(id);
  }

  #hear(status) {
    const before = this.#history.status;
    this.#history.add(status);
    this.#note(status, before);
    if (!this.#paused) this.#draw();
  }

  #pause() {
    this.#paused = !this.#paused;
    this.#find('pause').setAttribute('aria-pressed', String(this.#paused));
    if (!this.#paused) this.#draw();
  }

  #draw() {
    const { status, points } = this.#history;
    // Nobody looks: what was seen meanwhile is drawn when somebody does.
    if (!status || this.#document.hidden) return;
    const point = points.at(-1);
    const end = status.time;
    const start = end - this.#seconds * 1000;
    this.#shares = this.#history.shares();
    this.#drawHead(status);
    this.#drawNumbers(numbersOf(status, point, this.#history));
    this.#parts.lives.draw(this.#history.lives, start, end);
    this.#drawAxis(start, end);
    this.#parts.slots.show(point.slots);
    this.#parts.ports.show(point.ports);
    this.#parts.charts.draw(this.#history, start, end);
  }

  #drawAxis(start, end) {
    const labels = [start, (start + end) / 2, end].map(time => {
      const label = this.#document.createElement('span');
      label.textContent = new Date(time).toTimeString().slice(0, 8);
      return label;
    });
    this.#find('axis').replaceChildren(...labels);
  }

  #drawHead(status) {
    const { ready, reasons = [], version, node, pid, uptime } = status;
    const state = this.#find('state');
    set(state, readiness(status));
    state.className = `badge ${ready && reasons.length === 0 ? 'good' : 'bad'}`;
    set(this.#find('about'), `${text(version)}, Node ${text(node)}, pid ${text(pid)}, up ${age(uptime)}`);
    this.#document.title = `${ready ? '' : 'not ready: '}rust-cluster, pid ${text(pid)}`;
  }

  #drawNumbers(numbers) {
    for (const [name, value, more] of numbers) {
      if (!this.#numbers.has(name)) this.#numbers.set(name, this.#addNumber(name));
      const shown = this.#numbers.get(name);
      set(shown.value, value);
      set(shown.more, more || '');
    }
  }

  #addNumber(name) {
    const box = this.#document.createElement('div');
    const [title, value, more] = ['dt', 'dd', 'dd'].map(tag => this.#document.createElement(tag));
    title.textContent = name;
    more.className = 'more';
    box.append(title, value, more);
    this.#find('now').append(box);
    return { value, more };
  }

  /** Says what has changed since, all at once and not too often: somebody listens to it. */
  #note({ slots, time }, before) {
    const old = new Map(before?.slots.map(({ slot, state }) => [slot, state]));
    for (const { slot, state } of slots)
      if (before && old.get(slot) !== state) this.#changes.set(slot, state);
    if (this.#changes.size === 0 || Math.abs(time - this.#lastNews) < NEWS) return;
    this.#lastNews = time;
    const changed = [...this.#changes].map(([slot, state]) => ({ slot, state }));
    this.#changes.clear();
    const said =
      changed.length <= 3
        ? changed.map(({ slot, state }) => `slot ${text(slot)} is ${text(state)}`)
        : [...states(changed)].map(([state, many]) => `${many} slots are ${text(state)}`);
    set(this.#find('news'), said.join(', '));
  }

  #tellConnection(lostSince) {
    const said = lostSince
      ? `The connection is lost since ${lostSince.toTimeString().slice(0, 8)}: what is shown is of that time. Trying again.`
      : '';
    set(this.#find('connection'), said);
    if (!lostSince) set(this.#find('news'), 'The connection is back');
  }
}
