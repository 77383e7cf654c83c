'use strict';

const { underLoad } = require('../measure/http');

const settings = { workers: 2, clients: 64, keepAlive: false };

module.exports = {
  name: 'connections',
  title: 'Short HTTP connections, 2 workers, 64 clients',
  verified: 'status and body of every answer; the workers’ own counts of connections and requests',
  rivals: ['node-rr', 'node-none', 'node-reuseport', 'rust-rr', 'rust-none'],
  seconds: 2,
  figures: {
    perSecond: { title: 'connections/s', unit: '/s', better: 'higher' },
    primaryCpu: { title: 'CPU in the primary per connection', unit: 'µs', better: 'lower' },
    workersCpu: { title: 'CPU in the workers per connection', unit: 'µs', better: 'lower' },
    allCpu: { title: 'CPU per connection, all processes', unit: 'µs', better: 'lower' },
    p50: { title: 'p50', unit: 'ms', better: 'lower' },
    p99: { title: 'p99', unit: 'ms', better: 'lower' },
  },
  sample: (rival, { seconds }) => underLoad(rival, { ...settings, seconds }),
};
