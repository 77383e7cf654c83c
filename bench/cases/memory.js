'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const body = require('../body');
const connections = require('../load/connections');
const { withServer } = require('../measure/http');
const proc = require('../../__test__/support/proc');

const WORKERS = 4;
const REQUESTS = 2000;

/** For what is freed a little later. */
const SETTLE = 300;

const MB = 2 ** 20;

const megabytes = title => ({ title, unit: 'MB', better: 'lower' });

module.exports = {
  name: 'memory',
  title: `Memory of an HTTP server with ${WORKERS} workers, after ${REQUESTS} requests`,
  verified: 'every answer',
  rivals: ['node-rr', 'rust-rr'],
  figures: {
    worker: megabytes('resident memory a worker'),
    primary: megabytes('resident memory of the primary'),
    workerOwn: megabytes('memory of a worker that nobody shares'),
    primaryOwn: megabytes('memory of the primary that nobody shares'),
  },
  sample: rival =>
    withServer(rival, { workers: WORKERS }, async ({ program, port }) => {
      await connections({ port, count: REQUESTS, clients: 32, body });
      await sleep(SETTLE);
      const workers = program.workers.map(proc.memory);
      const primary = proc.memory(program.pid);
      const mean = name => workers.reduce((sum, memory) => sum + memory[name], 0) / workers.length / MB;
      return {
        figures: {
          worker: mean('rss'),
          primary: primary.rss / MB,
          workerOwn: mean('own'),
          primaryOwn: primary.own / MB,
        },
      };
    }),
};
