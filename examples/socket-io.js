'use strict';

// Socket.IO: a client's polling requests all go to one worker (@socket.io/sticky), and what is emitted to
// all reaches the clients of every worker (@socket.io/cluster-adapter).
//
//   npm install socket.io @socket.io/sticky @socket.io/cluster-adapter rust-cluster
//   node examples/socket-io.js               or, on another port:  PORT=8001 node examples/socket-io.js
//
// In a client:  io('http://127.0.0.1:8000').on('said', console.log).emit('say', 'hi')
//
// Stickiness needs the session in a request's address, so that here the primary's JavaScript reads the start
// of each connection and hands it on. Clients that use WebSockets only ({ transports: ['websocket'] }) need
// none of it: see ws.js.

const http = require('node:http');
const { availableParallelism } = require('node:os');
// Before what requires Node's cluster: both are then the same object.
const cluster = require('rust-cluster');
const adapter = require('@socket.io/cluster-adapter');
const sticky = require('@socket.io/sticky');
const { Server } = require('socket.io');

if (cluster.isPrimary) {
  const server = http.createServer();
  sticky.setupMaster(server, { loadBalancingMethod: 'round-robin' });
  adapter.setupPrimary();
  cluster.setupPrimary({ serialization: 'advanced' });
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
  server.listen(process.env.PORT ?? 8000, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${server.address().port}`);
  });
} else {
  const io = new Server(http.createServer());
  io.adapter(adapter.createAdapter());
  sticky.setupWorker(io);
  io.on('connection', socket => {
    socket.emit('welcome', cluster.worker.id);
    socket.on('say', text => io.emit('said', text, cluster.worker.id));
  });
}
