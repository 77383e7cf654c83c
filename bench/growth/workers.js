'use strict';

const { underLoad } = require('../measure/http');

module.exports = {
  name: 'growth-workers',
  title: 'Short HTTP connections over more and more workers, 64 clients',
  axis: { title: 'workers', values: [1, 2, 4, 8, 16, 32] },
  verified: 'status and body of every answer; the workers’ own counts of connections and requests',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 1,
  figures: {
    primaryCpu: { title: 'CPU in the primary per connection', unit: 'µs', better: 'lower', work: () => 1 },
    workersCpu: { title: 'CPU in the workers per connection', unit: 'µs', better: 'lower', work: () => 1 },
    perSecond: { title: 'connections/s', unit: '/s', better: 'higher' },
  },
  sample: (rival, { seconds, x }) => underLoad(rival, { workers: x, clients: 64, keepAlive: false, seconds }),
};
