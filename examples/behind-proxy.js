'use strict';

// Behind a proxy that says who the client is (the PROXY protocol): `socket.remoteAddress` is the client's, not the proxy's.
//
//   npm install rust-cluster
//   node examples/behind-proxy.js            or, on another port:  PORT=8001 node examples/behind-proxy.js
//
// nginx:    stream {
//             upstream app { server 127.0.0.1:8000; }
//             server { listen 80; proxy_pass app; proxy_protocol on; }
//           }
// HAProxy:  frontend web
//             mode tcp
//             bind :80
//             default_backend app
//           backend app
//             mode tcp
//             server app 127.0.0.1:8000 send-proxy-v2
//
// Only connections from the networks that are named here begin with that header, and those must: docs/sticky.md.

const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: { proxyProtocol: ['127.0.0.1', '::1'] } });
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  http
    .createServer(({ socket }, response) => {
      response.end(`Hello ${socket.remoteAddress}:${socket.remotePort} from worker ${cluster.worker.id}\n`);
    })
    .listen(process.env.PORT ?? 8000, '127.0.0.1');
}
