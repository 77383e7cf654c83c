'use strict';

// A primary that, once its workers listen, never comes back from its JavaScript.

const http = require('node:http');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  for (let i = 0; i < 3; i++) cluster.fork();
  let listening = 0;
  cluster.on('listening', () => {
    if (++listening < 3) return;
    require('node:fs').writeSync(1, 'stuck\n');
    for (;;);
  });
} else {
  http.createServer((_req, res) => res.end(`worker ${cluster.worker.id}`)).listen(0);
}
