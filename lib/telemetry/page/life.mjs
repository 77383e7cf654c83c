// A strip for each slot: when it was starting, ready, draining, stuck, empty. Colour and height say the same.

import { age, text } from './words.mjs';

const SVG = 'http://www.w3.org/2000/svg';
/** From the lower edge, in tenths of a strip. */
const HEIGHTS = { starting: 4, ready: 8, draining: 6, stuck: 10, empty: 2 };
const STATES = Object.keys(HEIGHTS);

function rectangle(document, state, x, width) {
  const rect = document.createElementNS(SVG, 'rect');
  const height = HEIGHTS[state] ?? HEIGHTS.empty;
  rect.setAttribute('class', STATES.includes(state) ? state : 'empty');
  for (const [name, value] of Object.entries({ x, width, height, y: 10 - height }))
    rect.setAttribute(name, value);
  return rect;
}

function strip(document, width) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} 10`);
  svg.setAttribute('preserveAspectRatio', 'none');
  return svg;
}

/** What the strips' colours stand for. */
export function drawLegend(list) {
  const { ownerDocument: document } = list;
  for (const state of STATES) {
    const item = document.createElement('li');
    const svg = strip(document, 10);
    svg.setAttribute('aria-hidden', 'true');
    svg.append(rectangle(document, state, 0, 10));
    item.append(svg, state);
    list.append(item);
  }
}

export class Lives {
  #list;
  #rows = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /**
   * @param {import('./history.mjs').History['lives']} lives
   * @param {number} start
   * @param {number} end milliseconds
   */
  draw(lives, start, end) {
    for (const [slot, { item }] of this.#rows) {
      if (lives.has(slot)) continue;
      item.remove();
      this.#rows.delete(slot);
    }
    for (const [slot, { spans }] of [...lives].sort(([one], [other]) => one - other))
      this.#row(slot, spans, start, end);
  }

  #row(slot, spans, start, end) {
    if (!this.#rows.has(slot)) this.#rows.set(slot, this.#add());
    const { label, svg } = this.#rows.get(slot);
    const shown = spans.filter(({ to }) => to >= start);
    const { state, from } = spans.at(-1);
    const workers = new Set(shown.map(({ pid }) => pid).filter(Boolean)).size;
    set(label, `Slot ${text(slot)}: ${text(state)}`);
    // Not to the second: who listens to it would hear it change all the time.
    const many = `${workers} worker${workers === 1 ? '' : 's'}`;
    const since = new Date(from).toTimeString().slice(0, 5);
    const said = `${text(state)} since ${since}, ${many} in the last ${age((end - start) / 1000)}`;
    if (svg.getAttribute('aria-label') !== said) svg.setAttribute('aria-label', said);
    svg.setAttribute('viewBox', `0 0 ${end - start} 10`);
    const { ownerDocument: document } = svg;
    // A worker's end is a slit, however like it the next one is.
    const slit = (end - start) / 600;
    const rectangles = shown.map(({ state: each, from: begin, to }) => {
      const x = Math.max(begin, start);
      const width = Math.max(to - x - slit, slit);
      const rect = rectangle(document, each, x - start, width);
      const title = document.createElementNS(SVG, 'title');
      title.textContent = `${text(each)}, ${age((to - begin) / 1000)}`;
      rect.append(title);
      return rect;
    });
    svg.replaceChildren(...rectangles);
  }

  #add() {
    const { ownerDocument: document } = this.#list;
    const item = document.createElement('li');
    const label = document.createElement('span');
    const svg = strip(document, 1);
    svg.setAttribute('role', 'img');
    item.append(label, svg);
    this.#list.append(item);
    return { item, label, svg };
  }
}

/** Only if it is another: a screen reader is told of each change. */
export function set(element, value) {
  if (element.textContent !== value) element.textContent = value;
}
