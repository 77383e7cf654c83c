'use strict';

// A cache in each worker, and no worker that answers with what another has changed: whoever changes something asks all to
// forget it, and answers its client when they have.
//
//   npm install rust-cluster
//   node examples/invalidation.js            or, on another port:  PORT=8001 node examples/invalidation.js
//   curl -X PUT -d Ada http://127.0.0.1:8000/user/7 && curl -i http://127.0.0.1:8000/user/7
//
// A worker that ends is known to have ended, so nobody waits for it; for one that is stuck, a change waits. Who would rather have
// a change be quick posts the key (`postMessage`) and lets others be late for a moment. See docs/bus.md.

const http = require('node:http');
const { availableParallelism } = require('node:os');
const { text } = require('node:stream/consumers');
const cluster = require('rust-cluster');
const { BroadcastChannel, store } = require('rust-cluster/bus');

/** Stands for a database. */
const database = {
  read: key => store.get(key),
  write: (key, value) => store.set(key, value),
};

async function serve() {
  const cache = new Map();
  const changed = new BroadcastChannel('changed');
  changed.answer(key => {
    cache.delete(key);
  });
  // From then on it is asked.
  await changed.ready();

  async function read(key) {
    // The promise is what is kept: if it is forgotten while the database answers, what is old is not kept afterwards.
    const known = cache.get(key);
    const value = known ?? database.read(key);
    cache.set(key, value);
    return { value: await value, hit: known !== undefined };
  }

  async function write(key, value) {
    await database.write(key, value);
    cache.delete(key);
    await changed.request(key, { to: 'all' });
  }

  const server = http.createServer(async (request, response) => {
    const { method, url } = request;
    if (method === 'PUT') {
      await write(url, await text(request));
      response.end('changed\n');
    } else {
      const { value, hit } = await read(url);
      response.setHeader('X-Cache', hit ? 'hit' : 'miss');
      response.setHeader('X-Worker', cluster.worker.id);
      response.end(`${value ?? 'nobody'}\n`);
    }
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}

if (cluster.isWorker) serve();
else for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--) cluster.fork();
