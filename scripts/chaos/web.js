'use strict';

// Servers of the classes whose close() ends connections, and their clients: requests on connections of their own, and
// on one that is kept alive.

const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { now } = require('./time');

const file = name => fs.readFileSync(path.join(__dirname, '../../__test__/engine/fixtures', name));
const pair = () => ({ key: file('key.pem'), cert: file('cert.pem') });

/** @type {Record<string, (answer: http.RequestListener) => import('node:net').Server>} */
const servers = {
  http: answer => http.createServer(answer),
  https: answer => https.createServer(pair(), answer),
  http2: answer => http2.createServer(answer),
  'http2, secure': answer => http2.createSecureServer(pair(), answer),
};

/** How long a client that keeps its connection thinks between two requests at most, in milliseconds. */
const THOUGHT = 20;

/** A client of a server: a function that sends a request, waits for its answer, and throws if there is none. */
function requester(kind, port, kept) {
  if (kind.startsWith('http2'))
    return () => askSession(`${kind === 'http2' ? 'http' : 'https'}://127.0.0.1:${port}`);
  const protocol = kind === 'http' ? http : https;
  const agent = kept && new protocol.Agent({ keepAlive: true, maxSockets: 1 });
  return async () => {
    await ask(protocol, { port, host: '127.0.0.1', agent, rejectUnauthorized: false });
    if (kept) await sleep(Math.random() * THOUGHT);
  };
}

function ask(protocol, options) {
  return new Promise((resolve, reject) => {
    const request = protocol.get(options, response =>
      response.on('error', reject).on('end', resolve).resume(),
    );
    request.on('error', reject);
  });
}

function askSession(authority) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(authority, { rejectUnauthorized: false }).on('error', reject);
    const stream = session.request({ ':path': '/' }).on('error', reject);
    let answered = false;
    stream.on('response', () => {
      answered = true;
    });
    stream.on('close', () => {
      session.close();
      if (answered) resolve();
      else reject(new Error('no answer'));
    });
    stream.resume().end();
  });
}

/**
 * What a `Crowd` does over and over, for one of its clients.
 * @param {string} kind of server
 * @param {boolean} kept whether the client keeps its connection
 */
function visitor(kind, kept) {
  let request;
  return async (port, patience) => {
    request ??= requester(kind, port, kept);
    const start = now();
    const timer = new AbortController();
    const hung = sleep(patience, 'hung', timer).catch(() => {});
    const asked = request().then(
      () => 'served',
      ({ code }) => (code === 'ECONNREFUSED' ? 'refused' : 'reset'),
    );
    const outcome = await Promise.race([asked, hung]);
    timer.abort();
    return { start, end: now(), outcome };
  };
}

module.exports = { servers, visitor };
