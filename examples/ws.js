'use strict';

// A chat over WebSockets (ws): what one client says reaches the clients of all workers, through the primary.
//
//   npm install ws rust-cluster
//   node examples/ws.js                      or, on another port:  PORT=8001 node examples/ws.js
//   npx wscat -c ws://127.0.0.1:8000         in several terminals: say something in one of them

const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');
const { WebSocketServer } = require('ws');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
  cluster.on('message', (_, text) => {
    for (const worker of Object.values(cluster.workers)) worker.send(text);
  });
} else {
  const { id } = cluster.worker;
  const server = new WebSocketServer({ port: process.env.PORT ?? 8000, host: '127.0.0.1' });
  server.on('connection', client => {
    client.send(`you are with worker ${id}`);
    client.on('message', data => process.send(`worker ${id}: ${data}`));
  });
  process.on('message', text => {
    for (const client of server.clients) client.send(text);
  });
}
