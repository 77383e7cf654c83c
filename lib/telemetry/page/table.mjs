// A table whose rows stay where they are while their numbers change, and which can be sorted by each column.

import { set } from './life.mjs';

/**
 * A column. `value` is what is sorted by and `show` how it is written.
 * @typedef {{ title: string, value: (row: any) => any, show?: (value: any, row: any) => string, isWords?: boolean, meter?: boolean, name?: (row: any) => string }} Column
 */

export class Table {
  #columns;
  #body;
  #heads;
  #rows = new Map();
  #by;
  #descending = false;

  /**
   * @param {HTMLElement} place
   * @param {string} caption
   * @param {Column[]} columns the first names the row
   */
  constructor(place, caption, columns) {
    const { ownerDocument: document } = place;
    this.#columns = columns;
    this.#by = columns[0];
    const table = document.createElement('table');
    const title = document.createElement('caption');
    title.textContent = caption;
    const head = document.createElement('thead');
    const row = document.createElement('tr');
    this.#heads = columns.map(column => this.#head(document, column));
    this.#body = document.createElement('tbody');
    row.append(...this.#heads);
    head.append(row);
    table.append(title, head, this.#body);
    place.replaceChildren(table);
    this.#mark();
  }

  #head(document, column) {
    const head = document.createElement('th');
    head.setAttribute('scope', 'col');
    if (column.isWords) head.className = 'words';
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = column.title;
    button.addEventListener('click', () => this.#sortBy(column));
    head.append(button);
    return head;
  }

  /** By that column, or the other way round. Numbers begin with the largest. */
  #sortBy(column) {
    const isNumber = column !== this.#columns[0] && !column.isWords;
    this.#descending = this.#by === column ? !this.#descending : isNumber;
    this.#by = column;
    this.#mark();
    this.#order();
  }

  #mark() {
    for (const [index, head] of this.#heads.entries()) {
      if (this.#columns[index] !== this.#by) head.removeAttribute('aria-sort');
      else head.setAttribute('aria-sort', this.#descending ? 'descending' : 'ascending');
    }
  }

  /** @param {any[]} rows */
  show(rows) {
    const [key] = this.#columns;
    const there = new Set(rows.map(row => key.value(row)));
    for (const [name, { element }] of this.#rows) {
      if (there.has(name)) continue;
      element.remove();
      this.#rows.delete(name);
    }
    for (const row of rows) {
      const name = key.value(row);
      if (!this.#rows.has(name)) this.#rows.set(name, this.#add());
      const shown = this.#rows.get(name);
      shown.row = row;
      this.#fill(shown);
    }
    this.#order();
  }

  #add() {
    const { ownerDocument: document } = this.#body;
    const element = document.createElement('tr');
    const cells = this.#columns.map((column, index) => {
      const cell = document.createElement(index === 0 ? 'th' : 'td');
      if (index === 0) cell.setAttribute('scope', 'row');
      if (column.isWords) cell.className = 'words';
      const words = document.createElement('span');
      cell.append(words);
      let meter;
      if (column.meter) {
        meter = document.createElement('meter');
        // The number beside it says the same.
        meter.setAttribute('aria-hidden', 'true');
        cell.append(meter);
      }
      return { cell, words, meter };
    });
    element.append(...cells.map(({ cell }) => cell));
    return { element, cells, row: undefined };
  }

  #fill({ cells, row }) {
    for (const [index, { value, show = String, name, isWords }] of this.#columns.entries()) {
      const { cell, words, meter } = cells[index];
      const found = value(row);
      set(words, show(found, row));
      if (meter) meter.setAttribute('value', found ?? 0);
      if (name) cell.className = `${isWords ? 'words ' : ''}${name(row)}`;
    }
  }

  #order() {
    const { value } = this.#by;
    const [key] = this.#columns;
    const sign = this.#descending ? -1 : 1;
    const wanted = [...this.#rows.values()].sort(
      (one, other) =>
        sign * compare(value(one.row), value(other.row)) || compare(key.value(one.row), key.value(other.row)),
    );
    // A row that is where it belongs is not touched: focus and selection stay.
    for (const [index, { element }] of wanted.entries())
      if (this.#body.children[index] !== element)
        this.#body.insertBefore(element, this.#body.children[index] ?? null);
  }
}

/** What is not known is the least. */
function compare(one, other) {
  if (typeof one === 'string' && typeof other === 'string') return one < other ? -1 : one > other ? 1 : 0;
  return (one ?? Number.NEGATIVE_INFINITY) - (other ?? Number.NEGATIVE_INFINITY) || 0;
}
