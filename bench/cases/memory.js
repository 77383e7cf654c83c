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

const whose = { worker: 'a worker', primary: 'the primary' };
const when = { '': 'after the requests', Fresh: 'fresh' };

/** The names of the figures: of whom, which, and when. */
const figures = {};
for (const [suffix, time] of Object.entries(when)) {
  for (const [process, title] of Object.entries(whose)) {
    figures[`${process}${suffix}`] = megabytes(`resident memory of ${title}, ${time}`);
    figures[`${process}Pss${suffix}`] = megabytes(`the same, what is shared counted in parts (PSS)`);
    figures[`${process}Own${suffix}`] = megabytes(`the same, what nobody shares`);
  }
}

/** The memory of a program's primary, and of its workers on an average. */
function measure(program, suffix) {
  const workers = program.workers.map(proc.memory);
  const mean = name => workers.reduce((sum, memory) => sum + memory[name], 0) / workers.length / MB;
  const primary = proc.memory(program.pid);
  return {
    [`worker${suffix}`]: mean('rss'),
    [`workerPss${suffix}`]: mean('pss'),
    [`workerOwn${suffix}`]: mean('own'),
    [`primary${suffix}`]: primary.rss / MB,
    [`primaryPss${suffix}`]: primary.pss / MB,
    [`primaryOwn${suffix}`]: primary.own / MB,
  };
}

module.exports = {
  name: 'memory',
  title: `Memory of an HTTP server with ${WORKERS} workers, fresh and after ${REQUESTS} requests`,
  verified: 'every answer',
  rivals: ['node-rr', 'rust-rr'],
  figures,
  sample: rival =>
    withServer(rival, { workers: WORKERS }, async ({ program, port }) => {
      await sleep(SETTLE);
      const fresh = measure(program, 'Fresh');
      await connections({ port, count: REQUESTS, clients: 32, body });
      await sleep(SETTLE);
      return { figures: { ...measure(program, ''), ...fresh } };
    }),
};
