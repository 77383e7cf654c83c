'use strict';

// A worker of a supervisor, which is ready once somebody has asked.

const http = require('node:http');

const server = http.createServer((_request, response) => {
  process.send('ready');
  response.end();
});
server.listen(0, '127.0.0.1', () => console.log(`listens at ${server.address().port}`));
