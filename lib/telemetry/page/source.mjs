// The events of the thread that answers, also after it was away. A browser connects again by itself, but neither where
// an answer was refused, nor where a connection has died without a word.

/** An event comes each second; after so long without one it is taken for lost. */
const PATIENCE = 5000;
const AGAIN = 2000;

export class Source {
  #window;
  #hear;
  #tell;
  #events;
  #timer;
  #lostSince;

  /**
   * @param {Window} window
   * @param {(status: any) => void} hear
   * @param {(lostSince: Date | undefined) => void} tell when the connection is lost, and when it is back
   */
  constructor(window, hear, tell) {
    this.#window = window;
    this.#hear = hear;
    this.#tell = tell;
  }

  open() {
    this.#events?.close();
    // Relative: a proxy may have put the page below a prefix.
    const events = new this.#window.EventSource('events');
    this.#events = events;
    events.onmessage = ({ data }) => {
      if (events !== this.#events) return;
      this.#wait(PATIENCE);
      if (this.#lostSince) this.#tell(undefined);
      this.#lostSince = undefined;
      this.#hear(JSON.parse(data));
    };
    events.onerror = () => {
      if (events !== this.#events) return;
      this.#lose();
      if (events.readyState === this.#window.EventSource.CLOSED) this.#wait(AGAIN);
    };
    this.#wait(PATIENCE);
  }

  #wait(time) {
    this.#window.clearTimeout(this.#timer);
    this.#timer = this.#window.setTimeout(() => {
      this.#lose();
      this.open();
    }, time);
  }

  #lose() {
    if (this.#lostSince) return;
    this.#lostSince = new Date();
    this.#tell(this.#lostSince);
  }
}
