'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const https = require('node:https');
const path = require('node:path');
const { test } = require('node:test');
const { text } = require('node:stream/consumers');
const { askUntilAll } = require('../support/http');
const { example, COUNT } = require('./example');

const FIXTURES = path.join(__dirname, '..', 'engine', 'fixtures');
const KEY = path.join(FIXTURES, 'key.pem');
const CERT = path.join(FIXTURES, 'cert.pem');

/** One request on a connection of its own: the answer, and the session's ticket. */
function get(port, options) {
  const ca = fs.readFileSync(CERT);
  return new Promise((resolve, reject) => {
    let session;
    const request = https.get({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca,
      agent: false,
      ...options,
    });
    request.on('error', reject);
    request.on('socket', socket => {
      socket.on('session', ticket => {
        session = ticket;
      });
    });
    request.on('response', async response => {
      const [, worker, kind] = (await text(response)).match(/^worker (\d+), (.*)\n$/);
      resolve({ worker: Number(worker), kind, session });
    });
  });
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`https.js: every worker resumes a session that one began, ${version}`, () =>
    example('https.js', { env: { KEY, CERT } }, async (_program, port) => {
      const options = { minVersion: version, maxVersion: version };
      const first = await get(port, options);
      assert.equal(first.kind, 'a new session');
      const again = () => get(port, { ...options, session: first.session });
      const answers = await askUntilAll(COUNT, again, ({ worker }) => worker);
      for (const { kind } of answers) assert.equal(kind, 'a resumed session');
    }));
}
