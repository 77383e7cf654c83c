'use strict';

const { withServer } = require('../measure/http');

const fleets = [8, 32];

const figures = {};
for (const workers of fleets) {
  figures[workers] = { title: `fork of ${workers} workers until all listen`, unit: 'ms', better: 'lower' };
}

async function sample(rival) {
  const times = {};
  for (const workers of fleets) {
    times[workers] = await withServer(rival, { workers }, ({ milliseconds }) => milliseconds);
  }
  return { figures: times };
}

module.exports = {
  name: 'fork',
  title: 'Start of the workers of an HTTP server',
  verified: 'every worker’s word that it listens',
  rivals: ['node-rr', 'rust-rr'],
  figures,
  sample,
};
