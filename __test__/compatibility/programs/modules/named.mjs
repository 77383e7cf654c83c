// Named imports and the default one, from 'rust-cluster' in the primary, and from an ES module of its own in
// the worker.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import cluster, {
  fork,
  isMaster,
  isPrimary,
  isWorker,
  SCHED_NONE,
  SCHED_RR,
  setupPrimary,
  Worker,
  workers,
} from 'rust-cluster';
import cases from '../../../support/cases.js';

const { say } = cases;

say('same object', createRequire(import.meta.url)('node:cluster') === cluster);
say('primary', [isPrimary, isMaster, isWorker, SCHED_NONE, SCHED_RR]);
say('same members', [
  fork === cluster.fork,
  setupPrimary === cluster.setupPrimary,
  workers === cluster.workers,
  Worker === cluster.Worker,
]);
setupPrimary({ exec: fileURLToPath(new URL('worker.mjs', import.meta.url)) });
const worker = fork({ ADDED: 'yes' });
say('workers', [workers[1] === worker, worker instanceof Worker]);
cluster.on('listening', () => say('listening', worker.state));
worker.on('message', message => {
  say('worker', message);
  worker.disconnect();
});
