'use strict';

// Any program on all CPUs, unchanged, as pm2 does it: the workers run that program, which may know nothing of
// clusters. One that crashes is replaced, ever later if it does so at once. SIGTERM to the primary alone ends the
// workers without losing what they have begun; a supervisor that tells all processes (systemd without KillMode=mixed)
// ends them at once, unless the program handles the signal.
//
//   node examples/exec.js FILE [ARGUMENTS]   for example:  node examples/exec.js examples/express.js
//   curl http://127.0.0.1:8000/              a few times: the workers take turns
//   kill PID                                 of a worker: another takes its place

const { availableParallelism } = require('node:os');
const cluster = require('rust-cluster');

const LONGEST_PAUSE = 15_000;
const [exec, ...args] = process.argv.slice(2);
let pause = 100;
let stopping = false;

if (!exec) {
  console.error('Usage: node exec.js FILE [ARGUMENTS]');
  process.exit(1);
}

cluster.setupPrimary({ exec, args });
cluster.on('listening', ({ id, process: { pid } }, { address, port }) => {
  console.log(`worker ${id} (pid ${pid}) listens on ${address ?? '*'}:${port}`);
  pause = 100;
});
cluster.on('exit', (worker, code, signal) => {
  console.log(`worker ${worker.id} (pid ${worker.process.pid}) has ended (${signal ?? code})`);
  if (stopping) return;
  setTimeout(() => stopping || cluster.fork(), pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    stopping = true;
    cluster.disconnect();
  });
}
for (let count = availableParallelism(); count > 0; count--) cluster.fork();
