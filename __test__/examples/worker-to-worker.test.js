'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { askUntilAll, get } = require('../support/http');
const { example, COUNT, IDS } = require('./example');

test('worker-to-worker.js: each worker asks every other one', () =>
  example('worker-to-worker.js', {}, async (_program, port) => {
    const requests = new Map(IDS.map(id => [id, 0]));
    for (const to of IDS) {
      await askUntilAll(COUNT, async () => {
        const { body } = await get(port, `/${to}`);
        const [, from, asked, answer] = body.match(/^worker (\d+): worker (\d+) says (\d+)\n$/).map(Number);
        requests.set(from, requests.get(from) + 1);
        assert.equal(asked, to);
        assert.equal(answer, requests.get(to));
        return from;
      });
    }
  }));

test('worker-to-worker.js: a worker that is not there gives no answer', () =>
  example('worker-to-worker.js', {}, async (_program, port) => {
    assert.match((await get(port, '/99')).body, /^worker \d+: worker 99 says there is no worker 99\n$/);
  }));
