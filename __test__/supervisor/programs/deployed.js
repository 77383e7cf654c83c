'use strict';

// A server that has left a zombie to the first process before it listens, and whose answer lasts as long as the request.

const { spawn } = require('node:child_process');
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.write('begun, ');
  request.on('end', () => response.end('and finished')).resume();
});

// What the shell has become asks for nobody's end.
spawn('sh', ['-c', '(exit 3) & exec sleep 0.2'], { stdio: 'ignore' }).on('exit', () =>
  server.listen(process.env.PORT, '127.0.0.1'),
);
