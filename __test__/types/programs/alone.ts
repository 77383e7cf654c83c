// A program without @types/node: what our own file declares is there, and nothing of it fails to compile.

import cluster from 'rust-cluster';
import 'rust-cluster/register';

cluster.setupPrimary({ silent: true });
const worker: cluster.Worker = cluster.fork();
worker.send('hi', error => error?.message);
worker.on('listening', ({ port }) => port.toFixed());
cluster.on('exit', ({ id, suicide }, code) => [id.toFixed(), suicide, code.toFixed()]);
export const policy: number = cluster.SCHED_RR;
