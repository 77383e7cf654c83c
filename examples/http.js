'use strict';

// A clustered HTTP server, one worker per CPU. The primary tells what each worker does, as it happens.
//
//   node examples/http.js                or, on another port:  PORT=8001 node examples/http.js
//   curl http://127.0.0.1:8000/          a few times: every connection goes to the next worker
//   curl http://127.0.0.1:8000/block     the primary's JavaScript spins for 5 s; go on with / meanwhile
//   curl http://127.0.0.1:8000/crash     a worker dies, and another takes its place
// A browser shows the spread of the connections over the workers there, live. Ctrl+C stops it gracefully.

const fs = require('node:fs');
const http = require('node:http');
const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  const spread = new Map();
  let reporting;
  let stopping = false;
  const seconds = Number(process.env.BLOCK ?? 5);
  const say = text => console.log(`${new Date().toTimeString().slice(0, 8)}  ${text}`);
  const name = worker => `worker ${worker.id} (pid ${worker.process.pid})`;
  // The callback takes the error of a worker that has just died.
  const tell = message => Object.values(cluster.workers).map(worker => worker.send(message, () => {}));
  const report = () => {
    reporting = undefined;
    say(`connections so far: ${[...spread].map(([id, count]) => `worker ${id}: ${count}`).join(', ')}`);
    tell([...spread]);
  };
  cluster.on('online', worker => say(`${name(worker)} is online`));
  cluster.on('listening', (worker, { address, port }) => {
    say(`${name(worker)} listens: curl http://${address}:${port}/`);
    spread.set(worker.id, 0);
  });
  cluster.on('message', (worker, message) => {
    spread.set(worker.id, spread.get(worker.id) + 1);
    if (!reporting) reporting = setTimeout(report, 100).unref();
    if (message !== 'block') return;
    tell('blocked');
    say(`the primary spins for ${seconds} s and tells nothing; its workers go on serving`);
    for (const end = Date.now() + seconds * 1000; Date.now() < end; );
    say('the primary is back');
  });
  cluster.on('exit', (worker, code, signal) => {
    const again = spread.delete(worker.id) && !stopping; // One that cannot listen is not replaced.
    say(`${name(worker)} has ended (${signal ?? code})${again ? ': another takes its place' : ''}`);
    if (again) cluster.fork();
    else if (!stopping) process.exitCode = 1;
  });
  const stop = () => {
    stopping = true;
    say('stopping, once what is under way is answered');
    tell('stop');
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  for (let count = availableParallelism(); count > 0; count--) cluster.fork();
} else {
  const page = fs.readFileSync(`${__dirname}/http.html`);
  const browsers = new Set();
  const server = http.createServer(({ url, headers }, response) => {
    process.send(url === '/block' ? 'block' : 'connection');
    response.shouldKeepAlive = false; // It is connections that are spread: one for each request.
    if (url === '/spread') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('retry: 300\n\n');
      browsers.add(response.on('close', () => browsers.delete(response)));
    } else if (headers.accept?.includes('text/html')) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
    } else {
      response.end(`Hello from worker ${cluster.worker.id} (pid ${process.pid})\n`);
      if (url === '/crash') response.on('finish', () => process.exit(1));
    }
  });
  server.listen(process.env.PORT ?? 8000, '127.0.0.1');
  // A terminal and systemd tell all processes: when to stop, the primary says.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
  process.on('message', message => {
    if (message === 'stop') cluster.worker.disconnect();
    const write = message === 'stop' ? 'end' : 'write';
    for (const browser of browsers) browser[write](`data: ${JSON.stringify(message)}\n\n`);
  });
}
