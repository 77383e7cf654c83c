'use strict';

// A source of metrics that fails, once somebody asks: what its worker says of that.

const http = require('node:http');
const cluster = require('../../..');
const { address, collect } = require('../../../telemetry');

if (cluster.isPrimary) {
  cluster.setupPrimary({ telemetry: { port: 0 } });
  const worker = cluster.fork();
  worker.on('message', message => {
    if (message === 'ready') {
      http.get({ port: address().port, host: address().address, path: '/metrics' }, answer =>
        answer.resume(),
      );
      return;
    }
    console.log(`${message.code}\n${message.text}`);
    process.exit();
  });
} else {
  process.on('warning', ({ code, message }) => process.send({ code, text: message }));
  collect(() => Promise.reject(new Error('no such database')));
  process.send('ready');
}
