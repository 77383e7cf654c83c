'use strict';

// A server that knows nothing of clusters.

const http = require('node:http');

http.createServer((_request, response) => response.end(`process ${process.pid}\n`)).listen(process.env.PORT);
