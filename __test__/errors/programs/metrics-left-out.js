'use strict';

// A worker whose histogram has more buckets than there is room for: what the primary says of it once somebody asks.

const http = require('node:http');
const cluster = require('../../..');
const { address, collect } = require('../../../telemetry');

if (cluster.isPrimary) {
  process.on('warning', ({ code, message }) => {
    console.log(`${code}\n${message}`);
    process.exit();
  });
  cluster.setupPrimary({ telemetry: { port: 0 } });
  cluster.fork().on('message', () => {
    http.get({ port: address().port, host: address().address, path: '/metrics' }, answer => answer.resume());
  });
} else {
  const buckets = Array.from({ length: 1002 }, (_, le) => `size_bucket{le="${le}"} 1`);
  collect(() => `# TYPE size histogram\n${buckets.join('\n')}\n`);
  process.send('ready');
}
