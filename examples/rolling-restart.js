'use strict';

// A new version of the program without a lost request: SIGHUP replaces the workers one after the other.
// SIGTERM and Ctrl+C end them gracefully. Whoever has not ended after 10 s (or DEADLINE ms) is killed.
//
// For a primary of your own. `rust-cluster app.js` does it for a program that has none, and what is missing here: back-off,
// a release that does not start, kept-alive connections (docs/command.md).
//
//   node examples/rolling-restart.js         or, on another port:  PORT=8001 node examples/rolling-restart.js
//   curl http://127.0.0.1:8000/              as often as you like, while you
//   kill -HUP PID                            with the PID that it prints

const { once } = require('node:events');
const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

const DEADLINE = Number(process.env.DEADLINE ?? 10_000);

/** Starts a worker; done when it listens. */
async function start() {
  const worker = cluster.fork();
  await once(worker, 'listening');
  return worker;
}

/** Ends a worker: it takes no more connections, answers what it has, and exits. */
async function end(worker) {
  const exit = once(worker, 'exit');
  const timer = setTimeout(() => worker.process.kill('SIGKILL'), DEADLINE);
  worker.disconnect();
  await exit;
  clearTimeout(timer);
  console.log(`worker ${worker.id} has ended`);
}

async function primary() {
  const workers = await Promise.all(Array.from({ length: availableParallelism() }, start));
  let restarting = Promise.resolve();
  let stopping = false;

  cluster.on('exit', async worker => {
    if (worker.exitedAfterDisconnect || stopping) return;
    console.log(`worker ${worker.id} has crashed`);
    workers[workers.indexOf(worker)] = await start();
  });
  const restart = async () => {
    for (const [place, old] of workers.entries()) {
      if (stopping) return;
      workers[place] = await start();
      await end(old);
    }
    console.log('restarted');
  };
  process.on('SIGHUP', () => {
    restarting = restarting.then(restart);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      stopping = true;
      await Promise.all(Object.values(cluster.workers).map(end));
    });
  }
  console.log(`ready: pid ${process.pid}`);
}

if (cluster.isPrimary) {
  primary();
} else {
  const server = http.createServer((_request, response) => response.end(`worker ${cluster.worker.id}\n`));
  // close() ends idle connections, from Node 26 on also those whose first request is still on its way.
  const closeIdle = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => setTimeout(closeIdle, DEADLINE / 10);
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
  // A terminal and systemd tell all processes: when to stop, the primary says.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.on(signal, () => {});
}
