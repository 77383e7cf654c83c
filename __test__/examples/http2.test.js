'use strict';

const assert = require('node:assert/strict');
const http2 = require('node:http2');
const { test } = require('node:test');
const { text } = require('node:stream/consumers');
const { askUntilAll } = require('../support/http');
const { example, COUNT } = require('./example');

test("http2.js: every worker answers, and a connection's streams are one worker's", () =>
  example('http2.js', {}, async (_program, port) => {
    await askUntilAll(COUNT, async () => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      const bodies = await Promise.all([1, 2, 3].map(() => text(session.request({ ':path': '/' }))));
      session.close();
      const [id] = bodies.map(body => Number(body.match(/^worker (\d+),/)[1]));
      assert.deepEqual(
        bodies,
        [1, 3, 5].map(stream => `worker ${id}, stream ${stream}\n`),
      );
      return id;
    });
  }));
