'use strict';

// A server, and what a test wants of it.

const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const http2 = require('node:http2');
const path = require('node:path');

const {
  SOCKET,
  KIND = 'http',
  KEEP_ALIVE,
  END_AT_DRAINING,
  SIGNAL_AT_DRAINING,
  IGNORE,
  ONLY_SIGINT,
} = process.env;

const fixture = name => fs.readFileSync(path.join(__dirname, '../../engine/fixtures', name));
const secure = { cert: fixture('cert.pem'), key: fixture('key.pem') };

const held = new Map();

/** What is held is answered at SIGUSR2. */
function answer(request, response) {
  const [, what, name] = request.url.split('/');
  switch (what) {
    case 'hold':
      held.set(name, response);
      process.stdout.write(`held ${process.pid}\n`);
      return;
    case 'events':
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: first\n\n');
      held.set('events', response);
      return;
    case 'large':
      response.end(Buffer.alloc(16 * 1024 * 1024, 'x'));
      return;
    case 'echo':
      request.pipe(response);
      return;
    default:
      response.end(`${process.pid}`);
  }
}

const servers = {
  http: () => http.createServer(answer),
  https: () => https.createServer(secure, answer),
  http2: () => http2.createServer(answer),
  http2s: () => http2.createSecureServer({ ...secure, allowHTTP1: true }, answer),
  express: () => http.createServer(require('express')().use(answer)),
  fastify() {
    const app = require('fastify')();
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    app.all('*', (request, reply) => {
      reply.hijack();
      answer(request.raw, reply.raw);
    });
    app.ready();
    return app.server;
  },
  koa() {
    const app = new (require('koa'))();
    app.use(context => {
      context.respond = false;
      context.res.statusCode = 200;
      answer(context.req, context.res);
    });
    return http.createServer(app.callback());
  },
};
const server = servers[KIND]();
if (KEEP_ALIVE) server.keepAliveTimeout = Number(KEEP_ALIVE);
if (SOCKET) server.listen(SOCKET);
else server.listen(0, '127.0.0.1');

cluster.worker.on('draining', () => {
  if (SIGNAL_AT_DRAINING) process.kill(process.pid, SIGNAL_AT_DRAINING);
  process.stdout.write(`draining ${process.pid}\n`);
  if (END_AT_DRAINING) held.get('events')?.end('data: last\n\n');
});
// A test releases what is held by a signal: another connection would not come to this worker.
process.on('SIGUSR2', () => {
  for (const response of held.values()) response.end('released');
});
if (process.env.TELL)
  process.stdout.write(
    `told ${JSON.stringify(Object.keys(process.env).filter(name => name.startsWith('RUST_CLUSTER_')))}\n`,
  );
if (IGNORE) process.on('SIGTERM', () => {});
if (ONLY_SIGINT) {
  process.on('SIGINT', () => {
    process.stdout.write('SIGINT\n');
    process.exit(0);
  });
}
