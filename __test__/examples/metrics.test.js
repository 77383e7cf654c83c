'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { askUntilAll, get } = require('../support/http');
const { example, COUNT } = require('./example');

test('metrics.js: the requests of all workers are counted as one', () =>
  example('metrics.js', { env: { METRICS_PORT: 0 } }, async (program, port) => {
    const [[, metricsPort]] = await program.lines(/^http:\/\/127\.0\.0\.1:(\d+)\/metrics$/);
    let total = 0;
    for (let round = 1; round <= 3; round++) {
      total += (await askUntilAll(COUNT, async () => (await get(port)).body)).length;
      const { body } = await get(Number(metricsPort), '/metrics');
      assert.match(body, new RegExp(`^app_requests_total ${total}$`, 'm'));
    }
  }));
