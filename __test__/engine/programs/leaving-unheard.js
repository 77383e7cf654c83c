'use strict';

// A worker that leaves while its primary's loop does not turn: the primary waits for a client to be served.

const { execFileSync } = require('node:child_process');
const cluster = require('rust-cluster');
const net = require('node:net');

if (cluster.isPrimary) {
  cluster.fork().once('listening', function ({ port }) {
    this.once('message', () => {
      const client = `require('net').connect(${port}, '127.0.0.1').pipe(process.stdout)`;
      const env = { ...process.env, NODE_OPTIONS: '' };
      console.log(execFileSync(process.execPath, ['-e', client], { env, encoding: 'utf8' }));
    });
    this.send('leave');
  });
} else {
  net.createServer(socket => socket.end('served')).listen(0, '127.0.0.1');
  process.on('message', () => {
    process.send('leaving');
    cluster.worker.disconnect();
  });
}
