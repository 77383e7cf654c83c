'use strict';

// A worker that never had a connection gets its first when one descriptor is left: enough to receive it, not
// to load what opens it. WHAT: 'connection', or 'handle' for one that comes with a message.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');
const { takeAll } = require('../../support/descriptors');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.on('exit', () => process.exit());
  cluster.on('message', (worker, address) => {
    if (process.env.WHAT === 'connection') {
      connect(address);
    } else {
      const server = net.createServer(socket => worker.send('a handle', socket));
      server.listen(0, '127.0.0.1', () => connect(server.address()));
    }
  });
} else {
  process.on('message', (_message, socket) => socket.end('served'));
  const server = net.createServer(socket => socket.end('served'));
  server.listen(0, '127.0.0.1', () => {
    const taken = takeAll();
    fs.closeSync(taken.pop());
    process.send(server.address());
    freeOnceReceived(taken);
  });
}

function connect({ port }) {
  const client = net.connect(port, '127.0.0.1').on('data', data => console.log(`${data}`));
  client.on('close', () => cluster.disconnect());
}

/** Frees the descriptors when the last one has been used. */
function freeOnceReceived(taken) {
  const more = takeAll();
  if (more.length > 0) {
    for (const fd of more) fs.closeSync(fd);
    setImmediate(freeOnceReceived, taken);
  } else {
    console.log('no descriptor is left');
    // The turn in which it was received is over.
    setImmediate(() => {
      for (const fd of taken) fs.closeSync(fd);
    });
  }
}
