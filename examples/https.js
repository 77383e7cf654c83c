'use strict';

// HTTPS: all workers have the same keys for session tickets, so that a client resumes at one worker the TLS
// session that it began at another. Nothing needs to be set for it.
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//     -keyout key.pem -out cert.pem
//   KEY=key.pem CERT=cert.pem node examples/https.js
//   curl --insecure https://127.0.0.1:8000/  a few times: the workers take turns
//   openssl s_client -tls1_2 -connect 127.0.0.1:8000 -reconnect < /dev/null | grep -e New -e Reused

const fs = require('node:fs');
const https = require('node:https');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const options = { key: fs.readFileSync(process.env.KEY), cert: fs.readFileSync(process.env.CERT) };
  const server = https.createServer(options, ({ socket }, response) => {
    const session = socket.isSessionReused() ? 'a resumed session' : 'a new session';
    response.end(`worker ${cluster.worker.id}, ${session}\n`);
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
