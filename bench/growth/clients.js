'use strict';

const { underLoad } = require('../measure/http');

module.exports = {
  name: 'growth-clients',
  title: 'Short HTTP connections of more and more clients at once, 2 workers',
  axis: { title: 'clients', values: [1, 8, 64, 512, 4096] },
  verified: 'status and body of every answer; the workers’ own counts of connections and requests',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 1,
  figures: {
    primaryCpu: { title: 'CPU in the primary per connection', unit: 'µs', better: 'lower', work: () => 1 },
    workersCpu: { title: 'CPU in the workers per connection', unit: 'µs', better: 'lower', work: () => 1 },
    p99: { title: 'p99', unit: 'ms', better: 'lower', work: clients => clients },
    perSecond: { title: 'connections/s', unit: '/s', better: 'higher' },
  },
  sample: (rival, { seconds, x }) => underLoad(rival, { workers: 2, clients: x, keepAlive: false, seconds }),
};
