'use strict';

// Socket.IO on all CPUs: each client's polling requests and its websocket reach the worker that has its session, and what
// is emitted to all reaches the clients of every worker.
//
//   npm install socket.io rust-cluster
//   node examples/socket-io.js               or, on another port:  PORT=8001 node examples/socket-io.js
//
// In a client:  io('http://127.0.0.1:8000').on('said', console.log).emit('say', 'hi')
//
// A session's id carries the slot of its worker, which the primary's acceptor reads in each request's address: docs/sticky.md.
// What workers say to each other goes over the bus: docs/socket.io.md. No JavaScript of the primary sees a byte of either. With
// `owner: 'strict'` a client waits for a worker that is busy: no other knows its session.

const http = require('node:http');
const { availableParallelism } = require('node:os');
// Before what requires Node's cluster: both are then the same object.
const cluster = require('rust-cluster');
const { createAdapter } = require('rust-cluster/bus/socket.io');
const { generateId } = require('rust-cluster/sticky');
const { Server } = require('socket.io');

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict' } } });
  for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--) cluster.fork();
  cluster.once('listening', (_worker, { address, port }) => console.log(`http://${address}:${port}`));
} else {
  const server = http.createServer();
  const io = new Server(server);
  io.engine.generateId = generateId;
  io.adapter(createAdapter());
  io.on('connection', socket => {
    socket.emit('welcome', cluster.worker.id);
    socket.on('say', text => io.emit('said', text, cluster.worker.id));
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
