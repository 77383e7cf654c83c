// The named exports are Node's own, which stay live: `import { isPrimary, workers } from 'rust-cluster'`.
import cluster from './index.js';

export * from 'node:cluster';
export default cluster;
