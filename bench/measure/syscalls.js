'use strict';

// System calls of the primary per unit of work, for the case `syscalls` and for the guard.

const body = require('../body');
const connections = require('../load/connections');
const { countSyscalls, followSyscalls } = require('./strace');
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

/**
 * What is in vain in the thread that accepts, per connection: calls that find nobody, and wake-ups after which nobody is
 * accepted. A clock that ticks while a worker is slow wakes nobody for nothing.
 */
function inVainPerConnection(rival, clients) {
  return withServer(rival, { workers: 2 }, async ({ program, port }) => {
    await connections({ port, count: 100, clients, body });
    const load = () => connections({ port, count: CONNECTIONS, clients, body });
    const names = ['accept4', 'epoll_wait', 'epoll_pwait'];
    const threads = await followSyscalls(program.pid, names, load);
    const calls = threads.find(thread => thread.some(({ name }) => name === 'accept4'));
    const finds = ({ result }) => result > 0;
    const isVain = ({ name, result }, i) =>
      name !== 'accept4' &&
      result > 0 &&
      calls[i + 1] &&
      !(calls[i + 1].name === 'accept4' && finds(calls[i + 1]));
    const accepts = calls.filter(({ name }) => name === 'accept4');
    const accepted = accepts.filter(finds).length;
    if (accepted < CONNECTIONS) throw new Error(`${accepted} accepted, of ${CONNECTIONS}`);
    return {
      accepts: (accepts.length - accepted) / CONNECTIONS,
      wakes: calls.filter(isVain).length / CONNECTIONS,
    };
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

module.exports = { perConnection, inVainPerConnection, perThousandMessages };
