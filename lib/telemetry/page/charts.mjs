// Lines over time, drawn by uPlot.

import { quantile } from './measures.mjs';
import { bytes, count, duration, percent } from './words.mjs';

/** So many slots have a line each; of more there are the highest, the middle and the lowest. */
const MOST_LINES = 8;
const HEIGHT = 190;

const of = read => points => points.map(read);

/** MiB are round where thousands are not. */
const POWERS = Array.from({ length: 44 }, (_, power) => 2 ** power);

const CHARTS = [
  {
    title: 'Connections a second',
    write: count,
    lines: [{ label: 'all', colour: '--strong', read: of(({ accepted }) => accepted ?? null) }],
  },
  { title: 'Connections a second, by slot', write: count, read: ({ rate }) => rate },
  {
    title: 'From accept to the worker',
    write: duration,
    isLog: true,
    lines: [
      { label: 'half within', colour: '--slot-0', read: of(({ handoff }) => quantile(handoff, 0.5)) },
      { label: '99% within', colour: '--strong', read: of(({ handoff }) => quantile(handoff, 0.99)) },
    ],
  },
  { title: 'Lag of the event loop, by slot', write: duration, read: ({ lag }) => lag },
  { title: 'Event loop busy, by slot', write: percent, most: 1, read: ({ utilization }) => utilization },
  { title: 'Memory (RSS), by slot', write: bytes, steps: POWERS, read: ({ rss }) => rss },
];

const known = values => values.filter(value => typeof value === 'number');
const middle = sorted => sorted[Math.floor((sorted.length - 1) / 2)] ?? null;

/** The lines of a chart, for the slots that there are. */
function linesOf({ lines, read }, slots) {
  if (lines) return lines;
  const at = (point, slot) => {
    const found = point.slots.find(each => each.slot === slot);
    return found ? (read(found) ?? null) : null;
  };
  if (slots.length <= MOST_LINES)
    return slots.map((slot, index) => ({
      label: `slot ${slot}`,
      colour: `--slot-${index}`,
      dash: index % 2 ? [6, 3] : undefined,
      read: of(point => at(point, slot)),
    }));
  const sorted = point => known(point.slots.map(read)).sort((one, other) => one - other);
  return [
    { label: 'highest', colour: '--strong', read: of(point => sorted(point).at(-1) ?? null) },
    { label: 'middle', colour: '--slot-0', read: of(point => middle(sorted(point))) },
    { label: 'lowest', colour: '--slot-7', dash: [6, 3], read: of(point => sorted(point)[0] ?? null) },
  ];
}

const clock = seconds => new Date(seconds * 1000).toTimeString().slice(0, 8);
/** Without seconds where they are all zero: then more of them have room. */
const clocks = splits =>
  splits.map(at => (splits.every(each => each % 60 === 0) ? clock(at).slice(0, 5) : clock(at)));

/** Of the lines of a logarithmic scale, those at powers of ten. */
const tens = (_, splits) =>
  splits.map(value => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null));

/** What the uPlot of a chart is made with. */
function optionsOf({ write, isLog, most, steps }, lines, width, colour) {
  const axis = { stroke: () => colour('--quiet'), grid: { stroke: () => colour('--line'), width: 1 } };
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: 'time' }, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: true },
      y: isLog
        ? { distr: 3 }
        : { range: (_, __, highest) => [0, most ?? (highest > 0 ? highest * 1.05 : 1)] },
    },
    axes: [
      { ...axis, space: 60, values: (_, splits) => clocks(splits) },
      {
        ...axis,
        size: 72,
        ...(isLog && { grid: { ...axis.grid, filter: tens }, ticks: { show: false } }),
        ...(steps && { incrs: steps }),
        values: (_, splits) => splits.map(value => (value === null ? '' : write(value))),
      },
    ],
    series: [
      { label: 'at', value: (_, at) => (at === null ? '' : clock(at)) },
      ...lines.map(line => ({
        label: line.label,
        stroke: () => colour(line.colour),
        width: 1.5,
        dash: line.dash,
        points: { show: false },
        value: (_, value) => write(value),
      })),
    ],
  };
}

class Chart {
  #window;
  #what;
  #place;
  #caption;
  #plot;
  #slots;

  constructor(window, what, parent) {
    this.#window = window;
    this.#what = what;
    const { document } = window;
    const figure = document.createElement('figure');
    this.#caption = document.createElement('figcaption');
    this.#caption.textContent = what.title;
    this.#place = document.createElement('div');
    this.#place.className = 'plot';
    this.#place.setAttribute('role', 'img');
    this.#place.setAttribute('aria-label', what.title);
    figure.append(this.#caption, this.#place);
    parent.append(figure);
  }

  resize() {
    const width = this.#place.clientWidth;
    if (this.#plot && width > 0) this.#plot.setSize({ width, height: HEIGHT });
  }

  recolour() {
    this.#plot?.redraw();
  }

  /** @param {import('./history.mjs').History['points']} points */
  draw(points, slots, start, end) {
    const lines = linesOf(this.#what, slots);
    const data = [points.map(({ time }) => time / 1000), ...lines.map(({ read }) => read(points))];
    const names = slots.join();
    if (!this.#plot || this.#slots !== names) this.#make(lines);
    this.#slots = names;
    this.#plot.setData(data, false);
    this.#plot.batch(() => {
      this.#plot.setScale('x', { min: start / 1000, max: end / 1000 });
    });
    this.#describe(data.slice(1));
  }

  #make(lines) {
    this.#plot?.destroy();
    const style = this.#window.getComputedStyle(this.#window.document.documentElement);
    const colour = name => style.getPropertyValue(name).trim();
    const options = optionsOf(this.#what, lines, this.#place.clientWidth || 400, colour);
    this.#plot = new this.#window.uPlot(options, [[], ...lines.map(() => [])], this.#place);
  }

  /** For who does not see it. */
  #describe(columns) {
    const { title, write } = this.#what;
    const all = known(columns.flat());
    const last = known(columns.map(column => column.at(-1)));
    const said =
      all.length === 0 ? 'nothing yet' : `now ${range(last, write)}, at most ${write(Math.max(...all))}`;
    this.#place.setAttribute('aria-label', `${title}: ${said}`);
  }
}

function range(values, write) {
  if (values.length === 0) return 'unknown';
  const [low, high] = [Math.min(...values), Math.max(...values)].map(write);
  return low === high ? low : `${low} to ${high}`;
}

export class Charts {
  #charts;

  /** @param {Window} window */
  constructor(window, parent) {
    this.#charts = CHARTS.map(what => new Chart(window, what, parent));
    const each = act => () => this.#charts.forEach(act);
    new window.ResizeObserver(each(chart => chart.resize())).observe(parent);
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener(
      'change',
      each(chart => chart.recolour()),
    );
  }

  draw(history, start, end) {
    const slots = history.status.slots.map(({ slot }) => slot);
    for (const chart of this.#charts) chart.draw(history.points, slots, start, end);
  }
}
