'use strict';

// Two clusters on one port: the second gets EADDRINUSE, in the worker's 'error' event, and the first goes on.

const { withProgram } = require('../program');
const { rain, outcomes } = require('../load');

module.exports = {
  title: 'Two clusters on one port',
  limit: { short: 30_000, long: 60_000 },

  async run({ way, short }) {
    const result = { tried: 0, lost: 0, unit: 'workers of the second', notes: [], broken: [] };
    for (const policy of ['rr', 'none']) {
      const env = { WORKERS: 2, NODE_CLUSTER_SCHED_POLICY: policy };
      await withProgram('server.js', { way, env }, async first => {
        const port = await first.listening(2);
        const workers = short ? 2 : 16;
        const second = { ...env, WORKERS: workers, LISTEN: { port, host: '127.0.0.1' } };
        const told = await withProgram('server.js', { way, env: second }, program =>
          program.events('refused', workers),
        );
        const attempts = await rain(port, 200, { every: 10, patience: 3000 });
        const { served } = outcomes(attempts);
        result.tried += workers;
        result.lost += told.filter(({ code }) => code !== 'EADDRINUSE').length;
        if (served < attempts.length) result.broken.push(`the first served ${served} of ${attempts.length}`);
        result.notes.push(`${policy}: ${told.map(({ code }) => code).join(', ')}`);
      });
    }
    return result;
  },
};
