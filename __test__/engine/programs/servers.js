'use strict';

// Every kind of server on one cluster: SERVER names it, LISTEN says on what (JSON, or 'fd').

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const cluster = require('rust-cluster');

const keys = path.join(__dirname, '..', 'fixtures');
const tls = () => ({
  key: fs.readFileSync(path.join(keys, 'key.pem')),
  cert: fs.readFileSync(path.join(keys, 'cert.pem')),
});
const answer = () => `worker ${cluster.worker.id}\n`;
const servers = {
  net: () => net.createServer(socket => socket.end(answer())),
  http: () => require('node:http').createServer((_req, res) => res.end(answer())),
  https: () => require('node:https').createServer(tls(), (_req, res) => res.end(answer())),
  http2: () => require('node:http2').createServer((_req, res) => res.end(answer())),
  tls: () => require('node:tls').createServer(tls(), socket => socket.end(answer())),
};

if (cluster.isPrimary) {
  cluster.schedulingPolicy = process.env.POLICY === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  // Bound, and not listening: the workers' listen({ fd }) starts that.
  const bound = process.env.LISTEN === 'fd' ? net._createServerHandle('127.0.0.1', 0, 4) : undefined;
  for (let i = 0; i < 2; i++) cluster.fork({ FD: bound?.fd });
} else {
  const { LISTEN, FD, SERVER } = process.env;
  servers[SERVER]().listen(LISTEN === 'fd' ? { fd: Number(FD) } : JSON.parse(LISTEN));
}
