'use strict';

// A cluster with telemetry, whose worker uses the bus once it is asked to, in each way that is counted.

const http = require('node:http');
const cluster = require('rust-cluster');
const { BroadcastChannel, locks, store } = require('rust-cluster/bus');
const telemetry = require('rust-cluster/telemetry');

const never = new Promise(() => {});

if (cluster.isPrimary) {
  cluster.setupPrimary({ telemetry: { port: 0 } });
  cluster.fork();
  console.log(`telemetry ${JSON.stringify(telemetry.address())}`);
  cluster.on('listening', (_worker, { port }) => console.log(`worker at ${port}`));
  cluster.on('message', async worker => {
    const news = new BroadcastChannel('news');
    news.answer(() => never);
    await news.ready();
    worker.send('go on');
  });
  // It stays when its worker has gone.
  setInterval(() => {}, 2 ** 30);
} else {
  const server = http.createServer(async (_request, response) => {
    process.send('listen');
    await new Promise(resolve => process.once('message', resolve));
    const news = new BroadcastChannel('news');
    for (let count = 0; count < 3; count++) news.postMessage('x'.repeat(1000));
    new BroadcastChannel('nobody listens').postMessage('');
    news.request('?').catch(() => {});
    for (let count = 0; count < 3; count++) locks.request('one', () => never).catch(() => {});
    await store.set('key', 'value');
    await store.increment('count');
    await store.set('key', 'another');
    response.end();
  });
  server.listen(0, '127.0.0.1');
}
