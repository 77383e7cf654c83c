'use strict';

// One measurement of an HTTP server under load.

const body = require('../body');
const connections = require('../load/connections');
const { freePort } = require('../../__test__/support/free-port');
const load = require('../load');
const proc = require('../../__test__/support/proc');
const { withProgram } = require('./program');

/** Requests before the measurement, of each worker, for V8's compilers. */
const WARM_UP = 500;

const HOST = '127.0.0.1';

/** Node's own default; more clients than that need more room, or the kernel drops them. */
const BACKLOG = 511;

/**
 * Starts a server.
 * @template T
 * @param {import('../rivals').Rival} rival
 * @param {{ workers: number, clients?: number }} settings
 * @param {(server: { program: object, port: number, milliseconds: number }) => Promise<T>} use
 */
function withServer(rival, { workers, clients = 0 }, use) {
  return withProgram('http', rival, async program => {
    const port = await freePort();
    const listen = { port, host: HOST, backlog: Math.max(BACKLOG, clients), ...rival.listen };
    const { milliseconds } = await program.start({ workers, listen });
    return use({ program, port, milliseconds });
  });
}

/**
 * The figures of a server under load. That every request was served once is checked by the servers' own counts.
 * @param {import('../rivals').Rival} rival
 * @param {{ workers: number, clients: number, keepAlive: boolean, seconds: number }} settings
 */
function underLoad(rival, settings) {
  const { workers: count, clients, keepAlive, seconds } = settings;
  return withServer(rival, settings, async ({ program, port }) => {
    await connections({ port, count: count * WARM_UP, clients: Math.min(clients, 64), body });
    const { pid, workers } = program;
    const before = await program.ask('counts');
    const cpuBefore = { primary: proc.cpu(pid), workers: sum(workers.map(proc.cpu)) };
    const result = await load.run({ port, clients, seconds, keepAlive }, [pid, ...workers]);
    const cpu = {
      primary: proc.cpu(pid) - cpuBefore.primary,
      workers: sum(workers.map(proc.cpu)) - cpuBefore.workers,
    };
    const after = await program.ask('counts');
    const served = after.map(({ connections, requests }, i) => ({
      connections: connections - before[i].connections,
      requests: requests - before[i].requests,
    }));
    const requests = sum(served.map(counts => counts.requests));
    const units = keepAlive ? requests : sum(served.map(counts => counts.connections));
    verify({ requests, units, answered: result.requests, clients });
    return {
      figures: {
        perSecond: result.requests / result.seconds,
        primaryCpu: cpu.primary / units,
        workersCpu: cpu.workers / units,
        allCpu: (cpu.primary + cpu.workers) / units,
        p50: result.p50,
        p99: result.p99,
      },
      limit: result.limit,
    };
  });
}

/** At the end of the load, each client may have had one request under way. */
function verify({ requests, units, answered, clients }) {
  for (const served of [requests, units]) {
    if (served < answered || served > answered + 2 * clients) {
      throw new Error(`${answered} answers received, but ${served} served`);
    }
  }
}

const sum = values => values.reduce((total, value) => total + value, 0);

module.exports = { withServer, underLoad };
