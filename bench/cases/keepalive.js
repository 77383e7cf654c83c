'use strict';

const { underLoad } = require('../measure/http');

const settings = { workers: 2, clients: 64, keepAlive: true };

module.exports = {
  name: 'keepalive',
  title: 'HTTP requests over connections that stay, 2 workers, 64 clients',
  verified: 'status and body of every answer; the workers’ own counts of requests',
  rivals: ['node-rr', 'node-none', 'node-reuseport', 'rust-rr', 'rust-none'],
  seconds: 1,
  figures: {
    perSecond: { title: 'requests/s', unit: '/s', better: 'higher' },
    workersCpu: { title: 'CPU in the workers per request', unit: 'µs', better: 'lower' },
    allCpu: { title: 'CPU per request, all processes', unit: 'µs', better: 'lower' },
    p50: { title: 'p50', unit: 'ms', better: 'lower' },
    p99: { title: 'p99', unit: 'ms', better: 'lower' },
  },
  sample: (rival, { seconds }) => underLoad(rival, { ...settings, seconds }),
};
