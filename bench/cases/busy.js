'use strict';

const body = require('../body');
const connections = require('../load/connections');
const { withServer } = require('../measure/http');
const { quantile } = require('../measure/statistics');

const WORKERS = 4;
const CONNECTIONS = 900;
const PER_SECOND = 300;
const SLICE = 60;

module.exports = {
  name: 'busy',
  title: `${PER_SECOND} short connections a second; one of ${WORKERS} workers computes in slices of ${SLICE} ms`,
  verified: 'every answer; the workers’ own counts add up',
  rivals: ['node-rr', 'node-none', 'node-reuseport', 'rust-rr', 'rust-none'],
  figures: {
    p50: { title: 'p50', unit: 'ms', better: 'lower' },
    p90: { title: 'p90', unit: 'ms', better: 'lower' },
    p99: { title: 'p99', unit: 'ms', better: 'lower' },
    share: { title: 'what the busy worker got', unit: '%', better: 'lower' },
  },
  sample: rival =>
    withServer(rival, { workers: WORKERS }, async ({ program, port }) => {
      await connections({ port, count: WORKERS * 100, clients: 8, body });
      const before = await program.ask('counts');
      await program.ask('compute', { milliseconds: SLICE });
      const times = await connections.arrivals({ port, count: CONNECTIONS, perSecond: PER_SECOND, body });
      const after = await program.ask('counts');
      const served = after.map(({ connections: count }, worker) => count - before[worker].connections);
      const total = served.reduce((sum, count) => sum + count, 0);
      if (total !== CONNECTIONS) throw new Error(`${CONNECTIONS} connections made, ${total} served`);
      const [p50, p90, p99] = [0.5, 0.9, 0.99].map(share => quantile(times, share));
      return { figures: { p50, p90, p99, share: (100 * served[0]) / total } };
    }),
};
