'use strict';

// System calls of the primary per unit of work, for the case `syscalls` and for the guard.

const body = require('../body');
const connections = require('../load/connections');
const { countSyscalls } = require('./strace');
const { withProgram } = require('./program');
const { withServer } = require('./http');

const CONNECTIONS = 2000;
const MESSAGES = 10_000;
const SIZE = 64;

/** In the primary, per connection, with so many clients at once. */
function perConnection(rival, clients) {
  return withServer(rival, { workers: 2 }, async ({ program, port }) => {
    // What is done once is done.
    await connections({ port, count: 100, clients, body });
    const load = () => connections({ port, count: CONNECTIONS, clients, body });
    const { total, calls } = await countSyscalls(program.pid, load);
    return { total: total / CONNECTIONS, calls };
  });
}

/** In the primary, per thousand messages: as the receiver, and as the sender. */
function perThousandMessages(rival, serialization) {
  return withProgram('messages', rival, async program => {
    await program.start({ workers: 1, serialization });
    const results = {};
    for (const direction of ['toPrimary', 'toWorker']) {
      await program.ask(direction, { size: SIZE, count: 1000 });
      const flow = () => program.ask(direction, { size: SIZE, count: MESSAGES });
      const { total, calls } = await countSyscalls(program.pid, flow);
      results[direction] = { total: (total / MESSAGES) * 1000, calls };
    }
    return results;
  });
}

module.exports = { perConnection, perThousandMessages };
