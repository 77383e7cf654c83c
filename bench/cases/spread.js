'use strict';

const body = require('../body');
const connections = require('../load/connections');
const { withServer } = require('../measure/http');

const WORKERS = 8;
const CONNECTIONS = 2000;

module.exports = {
  name: 'spread',
  title: `${CONNECTIONS} new connections over ${WORKERS} workers`,
  verified: 'every answer; the workers’ own counts add up',
  rivals: ['node-rr', 'node-none', 'node-reuseport', 'rust-rr', 'rust-none'],
  figures: {
    difference: { title: 'most connections of a worker − fewest', unit: '', better: 'lower' },
  },
  sample: rival =>
    withServer(rival, { workers: WORKERS }, async ({ program, port }) => {
      await connections({ port, count: CONNECTIONS, clients: 32, body });
      const counts = (await program.ask('counts')).map(worker => worker.connections);
      const total = counts.reduce((sum, count) => sum + count, 0);
      if (total !== CONNECTIONS) throw new Error(`${CONNECTIONS} connections made, ${total} served`);
      return { figures: { difference: Math.max(...counts) - Math.min(...counts) } };
    }),
};
