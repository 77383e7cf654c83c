'use strict';

// Which of a worker's connections count against a limit of the primary's (`dispatch.maxConnections`): those that are
// open, but for those of HTTP/1 on which nothing is asked, between two requests. Loaded with the first that counts.

const { subscribe } = require('node:diagnostics_channel');

class OpenConnections {
  #intake;
  /** What counts, by its handle. */
  #byHandle = new WeakMap();

  /** @param {object} intake tells the primary: see src/node/intake.rs */
  constructor(intake) {
    this.#intake = intake;
    subscribe('http.server.response.finish', ({ socket }) =>
      // After Node has taken up the next answer, if there is one.
      process.nextTick(() => this.#answered(socket)),
    );
  }

  /**
   * A connection has come.
   * @param {object} handle
   * @param {number} gauge on which it counts
   */
  add(handle, gauge) {
    const connection = { gauge, isIdle: false, isClosed: false };
    this.#byHandle.set(handle, connection);
    // Free once it is closed, and its program has heard so: another one could come in the same turn of the loop.
    for (const way of ['close', 'reset']) {
      const end = handle[way];
      // Pipes cannot be reset.
      if (!end) continue;
      handle[way] = callback => {
        const errno = end.call(handle, () => {
          try {
            callback?.call(handle);
          } finally {
            this.#closed(connection);
          }
        });
        // Node closes no handle whose reset has failed, and its server counts it no more.
        if (errno < 0) this.#closed(connection);
        return errno;
      };
    }
  }

  #answered(socket) {
    const { parser } = socket;
    // TLS has a handle of its own above it.
    const connection = this.#byHandle.get(socket._handle?._parent ?? socket._handle);
    if (!connection || connection.isIdle || connection.isClosed || socket._httpMessage) return;
    // It speaks another protocol by now.
    if (typeof parser?.onIncoming !== 'function') return;
    connection.isIdle = true;
    const { onIncoming } = parser;
    // Called with the next head, also of one that is to become a websocket.
    parser.onIncoming = (...args) => {
      parser.onIncoming = onIncoming;
      connection.isIdle = false;
      this.#intake.occupies(connection.gauge);
      return onIncoming.apply(parser, args);
    };
    this.#intake.frees(connection.gauge);
  }

  #closed(connection) {
    if (connection.isClosed) return;
    connection.isClosed = true;
    if (!connection.isIdle) this.#intake.frees(connection.gauge);
  }
}

module.exports = OpenConnections;
