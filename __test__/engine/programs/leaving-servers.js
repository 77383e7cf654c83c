'use strict';

// The last worker is told to leave, and says so; only then a client sends its request, on a connection that the
// worker was given before. KIND: the server's class; KEPT: whether the connection has had a request already. The worker's
// loop stands still until there is the file SENT: what counts is that the request is there, and not how soon it came.

const cluster = require('rust-cluster');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');

const { KIND, KEPT, SENT } = process.env;

if (cluster.isPrimary) {
  const worker = cluster.fork();
  worker.on('listening', async ({ port }) => {
    const client = await clients()[KIND](port);
    if (KEPT) await client.request();
    worker.on('message', async () => {
      const answer = client.request();
      // What a client of HTTP/2 or TLS sends is written in a turn of its own.
      setImmediate(setImmediate, () => fs.writeFileSync(SENT, ''));
      console.log(await answer);
      client.end?.();
    });
    worker.disconnect();
  });
} else {
  servers()[KIND]().listen(0, '127.0.0.1');
  process.on('internalMessage', ({ act }) => {
    if (act !== 'disconnect') return;
    process.send('leaving');
    while (!fs.existsSync(SENT)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  });
}

/** How a client of each kind connects: it can send requests then. */
function clients() {
  const insecure = { rejectUnauthorized: false };
  const raw = (connect, connected) => async port => {
    const socket = connect({ port, host: '127.0.0.1', ...insecure });
    await once(socket, connected);
    return { request: () => ask(socket) };
  };
  const session = scheme => async port => {
    const client = http2.connect(`${scheme}://127.0.0.1:${port}`, insecure);
    await once(client, 'connect');
    return { request: () => askSession(client), end: () => client.close() };
  };
  return {
    net: raw(net.connect, 'connect'),
    http: raw(net.connect, 'connect'),
    https: raw(tls.connect, 'secureConnect'),
    http2: session('http'),
    'http2, secure': session('https'),
  };
}

function ask(socket) {
  return new Promise(resolve => {
    socket.on('data', data => /served$/.test(data) && resolve('served'));
    socket.on('error', ({ code }) => resolve(code));
    socket.on('close', () => resolve('closed'));
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  });
}

function askSession(client) {
  return new Promise(resolve => {
    client.on('error', ({ code }) => resolve(code));
    if (client.destroyed) return resolve('closed');
    const stream = client.request({ ':path': '/' });
    stream.on('error', ({ code }) => resolve(code));
    stream.on('close', () => resolve('closed'));
    stream.on('data', data => /served$/.test(data) && resolve('served')).end();
  });
}

function servers() {
  const file = name => fs.readFileSync(path.join(__dirname, '../fixtures', name));
  const pair = { key: file('key.pem'), cert: file('cert.pem') };
  const answer = (_request, response) => response.end('served');
  const echo = socket => socket.once('data', () => socket.end('served'));
  return {
    net: () => net.createServer(echo),
    http: () => http.createServer(answer),
    https: () => https.createServer(pair, answer),
    http2: () => http2.createServer(answer),
    'http2, secure': () => http2.createSecureServer(pair, answer),
  };
}
