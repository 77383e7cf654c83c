'use strict';

// Four workers under the settings in DISPATCH. Each says who it is, who its client is, and gives out an id. One that ends
// is replaced. With TLS they serve https.

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const cluster = require('rust-cluster');
const { generateId } = require('rust-cluster/sticky');

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: JSON.parse(process.env.DISPATCH) });
  for (let count = 4; count > 0; count--) cluster.fork();
  cluster.on('exit', ({ slot }) => cluster.fork({}, { slot }));
} else {
  const pem = name => fs.readFileSync(path.join(__dirname, '..', 'fixtures', name));
  const options = process.env.TLS ? { key: pem('key.pem'), cert: pem('cert.pem') } : {};
  const server = (process.env.TLS ? https : http).createServer(options, ({ socket, url }, response) => {
    const { remoteAddress, remoteFamily, remotePort } = socket;
    const client = `${remoteAddress} ${remoteFamily} ${remotePort}`;
    response.end(
      JSON.stringify({ slot: cluster.worker.slot, pid: process.pid, client, url, id: generateId() }),
    );
  });
  if (process.env.MAX) server.maxConnections = Number(process.env.MAX);
  server.listen(process.env.LISTEN ?? 0, '127.0.0.1');
}
