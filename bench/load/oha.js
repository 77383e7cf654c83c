'use strict';

/** https://github.com/hatoo/oha: it sees no bodies, so their lengths are added up. */
module.exports = {
  name: 'oha',
  version: { args: ['--version'], pattern: /oha ([\d.]+)/ },
  shortest: 0.1,
  command({ url, clients, seconds, keepAlive }) {
    const close = keepAlive ? [] : ['--disable-keepalive'];
    return [
      'oha',
      '--no-tui',
      '--output-format',
      'json',
      '-z',
      `${seconds}s`,
      '-c',
      `${clients}`,
      ...close,
      url,
    ];
  },
  parse(output, { body }) {
    const { summary, latencyPercentiles, statusCodeDistribution, errorDistribution } = JSON.parse(output);
    const requests = Object.values(statusCodeDistribution).reduce((sum, count) => sum + count, 0);
    // What was on its way when the time was over is an error to it.
    const { 'aborted due to deadline': _, ...errors } = errorDistribution;
    const whole = summary.totalData / body.length;
    return {
      requests,
      seconds: summary.total,
      wrong: requests - (statusCodeDistribution[200] ?? 0) + Math.abs(requests - whole),
      failed: Object.values(errors).reduce((sum, count) => sum + count, 0),
      p50: latencyPercentiles.p50 * 1e3,
      p99: latencyPercentiles.p99 * 1e3,
    };
  },
};
