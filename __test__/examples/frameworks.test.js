'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { send } = require('../support/http');
const { example, whoAnswers, IDS } = require('./example');

for (const name of ['express.js', 'fastify.js', 'koa.js']) {
  test(`${name}: every worker answers`, () =>
    example(name, {}, async (_program, port) => {
      assert.deepEqual(await whoAnswers(port), IDS);
    }));
}

for (const name of ['express.js', 'fastify.js']) {
  test(`${name}: a body arrives`, () =>
    example(name, {}, async (_program, port) => {
      const headers = { 'Content-Type': 'application/json' };
      const { request, response } = send(port, { method: 'POST', path: '/echo', headers });
      request.end(JSON.stringify({ text: 'x'.repeat(50_000) }));
      const { status, body } = await response;
      assert.equal(status, 200);
      assert.equal(JSON.parse(body).body.text.length, 50_000);
    }));
}
