'use strict';

/** https://github.com/mcollina/autocannon: where nothing faster is installed. */
module.exports = {
  name: 'autocannon',
  version: { args: ['--version'], pattern: /autocannon v?([\d.]+)/ },
  shortest: 1,
  command({ url, clients, seconds, keepAlive, body }) {
    const close = keepAlive ? [] : ['--headers', 'connection=close'];
    const duration = `${Math.max(1, Math.round(seconds))}`;
    const quiet = ['--json', '--no-progress'];
    return ['autocannon', ...quiet, '-c', `${clients}`, '-d', duration, '--expectBody', body, ...close, url];
  },
  parse(output) {
    const { requests, duration, errors, timeouts, mismatches, non2xx, latency } = JSON.parse(output);
    return {
      requests: requests.total,
      seconds: duration,
      wrong: mismatches + non2xx,
      failed: errors + timeouts,
      p50: latency.p50,
      p99: latency.p99,
    };
  },
};
