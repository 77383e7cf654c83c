'use strict';

// UDP: the workers share one socket, and the kernel gives each datagram to one of them. Nobody takes turns.
//
//   node examples/udp.js                     or, on another port:  PORT=8001 node examples/udp.js
//   echo hi | nc -u -w 1 127.0.0.1 8000      a few times

const dgram = require('node:dgram');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (data, { address, port }) => {
    socket.send(`worker ${cluster.worker.id} got ${data}`, port, address);
  });
  socket.bind(process.env.PORT ?? 8000, '127.0.0.1');
}
