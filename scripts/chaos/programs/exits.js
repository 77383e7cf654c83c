'use strict';

// One cell of the exit matrix: WHO (workers, primary) ends in the way END at the moment MOMENT, with WORKERS workers,
// which all come to that moment. What the primary sees of the workers' ends goes to stdout.

const fs = require('node:fs');
const net = require('node:net');

const cluster = require(process.env.CLUSTER === 'node' ? 'node:cluster' : 'rust-cluster');

const { WHO, END, MOMENT, WORKERS } = process.env;
const mine = WHO === (cluster.isPrimary ? 'primary' : 'worker');

const ends = {
  exit: () => process.exit(3),
  abort: () => process.abort(),
  throw() {
    throw new Error('on purpose');
  },
  reject: () => void Promise.reject(new Error('on purpose')),
  sigterm: () => process.kill(process.pid, 'SIGTERM'),
  // The terminal's: everyone in the process group gets it.
  sigint: () => process.kill(0, 'SIGINT'),
  disconnect: () => (cluster.isPrimary ? cluster.disconnect() : cluster.worker.disconnect()),
  kill: () =>
    cluster.isPrimary
      ? Object.values(cluster.workers).forEach(one => void one.kill())
      : cluster.worker.kill(),
};

/** It is that moment: one of the two kinds of process ends if it is the right one. */
function moment(name) {
  if (mine && name === MOMENT) ends[END]();
}

/** What the primary sees of a moment of all workers. */
function allCome(name) {
  const came = (seen.get(name) ?? 0) + 1;
  seen.set(name, came);
  if (came < Number(WORKERS)) return;
  if (name === 'disconnecting' && WHO === 'primary') cluster.disconnect();
  moment(name);
}

const seen = new Map();

if (cluster.isPrimary) {
  cluster.on('exit', (_worker, code, signal) => fs.writeSync(1, `worker ${signal ?? code}\n`));
  for (let i = 0; i < Number(WORKERS); i++) {
    const worker = cluster.fork();
    let client;
    if (process.env.HEAR) worker.on('error', () => {});
    worker.on('message', name => {
      allCome(name);
      // The worker has nothing left to wait for.
      client.destroy();
    });
    worker.on('online', () => allCome('online'));
    worker.on('listening', ({ port, address }) => {
      client = net.connect(port, address).on('error', () => {});
    });
  }
  moment('start');
} else {
  moment('start');
  setImmediate(() => {
    moment('online');
    const server = net.createServer(socket => {
      socket.on('error', () => {});
      process.send(MOMENT === 'disconnecting' ? MOMENT : 'handed');
      moment('handed');
      if (MOMENT === 'disconnecting' && WHO === 'worker') {
        cluster.worker.disconnect();
        moment('disconnecting');
      }
    });
    // Each has a client of its own.
    server.listen(0, `127.0.0.${cluster.worker.id}`);
  });
}
