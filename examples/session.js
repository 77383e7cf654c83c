'use strict';

// Sessions in memory on all CPUs: a client's cookie leads it to the worker that has its session.
//
//   npm install express express-session rust-cluster
//   node examples/session.js                 or, on another port:  PORT=8001 node examples/session.js
//   curl -c jar -b jar http://127.0.0.1:8000/       a few times: it counts, and the worker stays the same
//
// A session ends with its worker, so this is for what may be lost: carts, drafts, tokens. See docs/sticky.md.

const { randomBytes } = require('node:crypto');
const { availableParallelism } = require('node:os');
const express = require('express');
const session = require('express-session');
const cluster = require('rust-cluster');
const { generateId } = require('rust-cluster/sticky');

if (cluster.isPrimary) {
  cluster.setupPrimary({
    dispatch: { policy: 'sticky', sticky: { by: { cookie: 'connect.sid' }, owner: 'strict' } },
  });
  const SECRET = process.env.SECRET ?? randomBytes(32).toString('hex');
  for (let count = process.env.WORKERS ?? availableParallelism(); count > 0; count--)
    cluster.fork({ SECRET });
} else {
  const app = express();
  const { SECRET: secret } = process.env;
  app.use(session({ secret, genid: generateId, resave: false, saveUninitialized: false }));
  app.get('/', (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.send(`Visit ${request.session.visits}, worker ${cluster.worker.id}\n`);
  });
  app.listen(process.env.PORT ?? 8000, '127.0.0.1');
}
