'use strict';

// A server with nothing of a cluster in it: the command starts it once for each CPU.
//
//   npx rust-cluster examples/server.js     (npm start), or, on another port:  PORT=8001 npm start
//   curl http://127.0.0.1:8000/             a few times: the workers take turns
//   npx rust-cluster ps                     in another terminal; then change this file, and
//   npx rust-cluster reload                 the new version serves, and no request is lost

const http = require('node:http');

http
  .createServer((_request, response) => response.end(`Hello from process ${process.pid}\n`))
  .listen(process.env.PORT ?? 8000, '127.0.0.1');
