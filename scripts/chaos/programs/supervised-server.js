'use strict';

// A server that knows of no supervisor. RELEASE is a file that says what becomes of it, read at each start: it is ended
// before it listens, or with its first turn.

const fs = require('node:fs');
const http = require('node:http');

const release = fs.readFileSync(process.env.RELEASE, 'utf8');
if (release === 'broken') throw new Error('a broken release');

const server = http.createServer((request, response) => {
  if (request.url === '/stuck') for (;;);
  setTimeout(() => response.end(`${process.pid}`), 5);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
