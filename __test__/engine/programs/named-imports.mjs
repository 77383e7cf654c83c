// The README's import, in one file that is the program of the primary and of its worker.

import cluster, { fork, isPrimary, worker, workers } from 'rust-cluster';

if (isPrimary) {
  console.log('primary', fork === cluster.fork, workers === cluster.workers, worker);
  fork();
} else {
  console.log('worker', fork, worker === cluster.worker, workers);
  process.disconnect();
}
