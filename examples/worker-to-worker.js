'use strict';

// Workers that ask each other: the primary passes on what one sends to another.
//
//   node examples/worker-to-worker.js        or, on another port:  PORT=8001 node …
//   curl http://127.0.0.1:8000/              a few times: who answers, and how many requests it has had
//   curl http://127.0.0.1:8000/2             whoever answers asks worker 2 how many requests that one has had

const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

/** How long one worker waits for another's answer, in ms. */
const PATIENCE = 2000;

function primary() {
  cluster.on('message', (from, message) => {
    const to = cluster.workers[message.to];
    // The callback takes the error of a worker that has just died.
    if (to) to.send({ ...message, from: from.id }, () => {});
    else from.send({ number: message.number, error: `there is no worker ${message.to}` }, () => {});
  });
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
}

function worker() {
  const { id } = cluster.worker;
  const waiting = new Map();
  let asked = 0;
  let requests = 0;

  /** Asks another worker how many requests it has had; done when it has answered. */
  function ask(to) {
    return new Promise((resolve, reject) => {
      const number = ++asked;
      const timer = setTimeout(settle, PATIENCE, { error: `no answer from worker ${to}` });
      function settle({ error, answer }) {
        clearTimeout(timer);
        waiting.delete(number);
        if (error) reject(new Error(error));
        else resolve(answer);
      }
      waiting.set(number, settle);
      process.send({ to, number, question: 'requests' });
    });
  }

  process.on('message', ({ from, number, question, ...reply }) => {
    if (question) process.send({ to: from, number, answer: requests });
    else waiting.get(number)?.(reply);
  });

  const server = http.createServer(async ({ url }, response) => {
    requests++;
    const to = url.slice(1);
    const answer = !to ? requests : await ask(to).catch(error => error.message);
    response.end(`worker ${id}: ${to ? `worker ${to} says ` : ''}${answer}\n`);
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
}

if (cluster.isPrimary) primary();
else worker();
