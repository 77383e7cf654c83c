'use strict';

// An ordinary server, which knows of no supervisor. RELEASE is a file that says what becomes of it, read at each start.

const fs = require('node:fs');
const http = require('node:http');

/** How long an answer takes, in milliseconds: a database, say. */
const ORDINARY = 5;
const SLOW = 1000;

const release = fs.readFileSync(process.env.RELEASE, 'utf8');
if (release === 'broken') throw new Error('a broken release');

const server = http.createServer((request, response) => {
  setTimeout(() => response.end(`${process.pid}`), request.url === '/slow' ? SLOW : ORDINARY);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
if (release === 'crashes') server.on('listening', () => setTimeout(() => process.exit(1), 100));

// What pm2 and throng ask of a program that is to finish what it has begun.
if (process.env.OWN_SHUTDOWN) {
  const stop = () => server.close(() => process.exit());
  process.on('SIGINT', stop).on('SIGTERM', stop);
}
