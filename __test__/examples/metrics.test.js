'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { get } = require('../support/http');
const { example, whoAnswers, COUNT, IDS } = require('./example');

test('metrics.js: the requests of all workers are counted as one', () =>
  example('metrics.js', { env: { METRICS_PORT: 0 } }, async (program, port) => {
    const [[, metricsPort]] = await program.lines(/^http:\/\/127\.0\.0\.1:(\d+)\/metrics$/);
    for (let round = 1; round <= 3; round++) {
      assert.deepEqual(await whoAnswers(port), IDS);
      const { body } = await get(Number(metricsPort), '/metrics');
      assert.match(body, new RegExp(`^app_requests_total ${round * COUNT}$`, 'm'));
    }
  }));
