import cluster from './index.js';

// Node's own named exports, which stay live: `import { isPrimary, worker } from 'rust-cluster'`.
export * from 'node:cluster';
export default cluster;

// One file is often the program of both: what a worker does not have must be there to be imported, undefined.
export const { fork, setupPrimary, setupMaster, disconnect, workers, worker, SCHED_NONE, SCHED_RR } = cluster;
