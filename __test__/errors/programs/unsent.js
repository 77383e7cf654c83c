'use strict';

// As many servers are on their way to a worker that is stopped as this user may have open, and some more. The primary
// prints what it is told of it.

const net = require('node:net');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  if (process.getuid() === 0) {
    // Limits do not hold root. The number is of nobody else: what others have on their way is not counted.
    process.setgid(65534);
    process.setuid(100_000 + process.pid);
  }
  const worker = cluster.fork();
  const server = net.createServer().listen(0, '127.0.0.1');
  process.on('warning', ({ code, message }) => {
    console.log(`${code}\n${message}`);
    worker.process.kill('SIGKILL');
    worker.on('exit', () => process.exit());
  });
  worker.on('online', () => {
    worker.process.kill('SIGSTOP');
    for (let sent = 0; sent < Number(process.argv[2]) + 10; sent++) worker.send(sent, server);
  });
}
