'use strict';

// The files of the page, as the thread that answers serves them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { assets } = require('../../lib/telemetry/page');
const { folder, start, SERVER } = require('../supervisor/command');

/** @returns {Promise<{ status: number, headers: object, bytes: Buffer }>} */
function get(place, url) {
  return new Promise((resolve, reject) => {
    http
      .get({ ...place, path: url, agent: false }, response => {
        const parts = [];
        response.on('data', part => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(parts) });
        });
      })
      .on('error', reject);
  });
}

test('each is there, whole, of its type, and under a policy that lets nothing else in', async t => {
  const cwd = folder(t, { 'app.js': SERVER });
  const supervised = start(t, cwd, ['--name', 'live', '-i', '1', '--metrics', '127.0.0.1:0', 'app.js']);
  await supervised.events('all-ready');
  const file = path.join(cwd, '.runtime/rust-cluster/live.telemetry');
  const { host, port } = JSON.parse(fs.readFileSync(file, 'utf8'));
  for (const { path: url, type, bytes } of assets()) {
    const answer = await get({ host, port }, url);
    assert.equal(answer.status, 200, url);
    assert.equal(answer.headers['content-type'], type, url);
    assert.ok(answer.bytes.equals(bytes), url);
    const policy = answer.headers['content-security-policy'];
    assert.match(policy, /default-src '(self|none)'/, url);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/, url);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff', url);
  }
  for (const url of ['/index.html', '/../page.js', '/%2e%2e/page.js', '/main.mjs/', '//main.mjs'])
    assert.equal((await get({ host, port }, url)).status, 404, url);
});
