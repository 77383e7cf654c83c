'use strict';

// A program that knows nothing of rust-cluster: two workers serve requests, until each has, and echo a message. What it
// prints is the same whatever cluster it has, and however it is run.

const cluster = require('node:cluster');
const http = require('node:http');
const { once } = require('node:events');

const get = port =>
  new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, async response => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(body);
    });
    request.on('error', reject);
  });

async function primary() {
  if (process.env.FORKED) {
    console.log('a worker became a primary');
    process.exit(9);
  }
  const workers = [cluster.fork({ FORKED: 1 }), cluster.fork({ FORKED: 1 })];
  const listening = workers.map(worker => once(worker, 'listening'));
  const said = workers.map(worker => once(worker, 'message'));
  const exits = workers.map(worker => once(worker, 'exit'));
  const [[{ port }]] = await Promise.all(listening);
  // Not before: what tsx loads into a worker listens to messages, and hears those that come early.
  for (const worker of workers) worker.send({ hello: worker.id });
  const messages = (await Promise.all(said)).map(([message]) => message);
  const seen = new Set();
  while (seen.size < workers.length) seen.add(await get(port));
  const answers = [...seen].sort();
  for (const worker of workers) worker.disconnect();
  const codes = await Promise.all(exits);
  console.log(
    `result ${JSON.stringify({ answers, messages, codes, workers: Object.keys(cluster.workers) })}`,
  );
}

function worker() {
  const { id } = cluster.worker;
  process.on('message', ({ hello }) => {
    const { execArgv, argv, env } = process;
    const fork = typeof cluster.fork;
    const { preloaded = [] } = globalThis;
    const options = env.NODE_OPTIONS ?? null;
    process.send({ hello, id, execArgv, argv: argv.slice(2), options, fork, preloaded });
  });
  http.createServer((_request, response) => response.end(`worker ${id}`)).listen(0, '127.0.0.1');
}

if (cluster.isPrimary) primary();
else worker();
