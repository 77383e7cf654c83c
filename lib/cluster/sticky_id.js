'use strict';

const { randomBytes } = require('node:crypto');

/** As many as socket.io's own ids have: nobody guesses one. */
const BYTES = 15;

/**
 * An id that carries a slot; the acceptor reads it (src/connections/sticky.rs). In a process that is no worker it carries
 * none.
 * @param {number} [slot]
 */
function idOf(slot) {
  const id = randomBytes(BYTES).toString('base64url');
  return slot === undefined ? id : `${slot}~${id}`;
}

module.exports = { idOf };
