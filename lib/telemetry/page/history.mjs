// What was seen so far, and no more of it than is shown: a page that is open for a week takes no more memory than one
// that is open for an hour.

import { measure, quantile, together } from './measures.mjs';

/** Nothing was seen for longer than this: what came between is not known. */
const GAP = 5000;
/** What is said of now is of so many looks. */
const RECENT = 10;

export class History {
  /** @type {ReturnType<typeof measure>[]} */
  points = [];
  /** @type {Map<number, Life>} by slot */
  lives = new Map();
  /** The last status. */
  status;
  #longest;

  /** @param {number} longest milliseconds */
  constructor(longest) {
    this.#longest = longest;
  }

  add(status) {
    if (this.status && status.time <= this.status.time) this.#restart();
    const last = this.points.at(-1);
    if (last && status.time - last.time > GAP) this.points.push({ time: last.time + 1, slots: [] });
    this.points.push(measure(status, this.status));
    this.status = status;
    this.#live(status);
    const start = status.time - this.#longest;
    const old = this.points.findIndex(({ time }) => time >= start);
    this.points.splice(0, old);
  }

  /** The clock was set back. */
  #restart() {
    this.points = [];
    this.lives.clear();
    this.status = undefined;
  }

  #live({ time, slots }) {
    for (const slot of slots) {
      if (!this.lives.has(slot.slot)) this.lives.set(slot.slot, new Life());
      this.lives.get(slot.slot).see(slot, time);
    }
    for (const [slot, life] of this.lives) {
      life.forget(time - this.#longest);
      if (life.spans.length === 0) this.lives.delete(slot);
    }
  }

  /** From accept to the worker's take, lately. */
  handoff() {
    const recent = together(this.points.slice(-RECENT).map(({ handoff }) => handoff));
    return { half: quantile(recent, 0.5), most: quantile(recent, 0.99) };
  }

  /** Which part of the connections each slot had lately. */
  shares() {
    const sums = new Map();
    for (const { slots } of this.points.slice(-RECENT))
      for (const { slot, rate } of slots) sums.set(slot, (sums.get(slot) ?? 0) + (rate ?? 0));
    const all = [...sums.values()].reduce((sum, each) => sum + each, 0);
    return new Map([...sums].map(([slot, sum]) => [slot, all > 0 ? sum / all : null]));
  }
}

/** The states of a slot, one after the other. */
class Life {
  /** @type {{ state: string, pid: number | null, from: number, to: number }[]} */
  spans = [];

  see({ state, pid, since }, time) {
    const last = this.spans.at(-1);
    const isSame = last && last.state === state && last.pid === pid;
    const isUnbroken = last && (since <= last.to || time - last.to <= GAP);
    if (isSame && isUnbroken) {
      last.to = time;
      return;
    }
    const from = Math.min(Math.max(since ?? time, last?.to ?? 0), time);
    if (last && isUnbroken) last.to = from;
    this.spans.push({ state, pid, from, to: time });
  }

  forget(start) {
    const old = this.spans.findIndex(({ to }) => to >= start);
    this.spans.splice(0, old === -1 ? this.spans.length : old);
  }
}
