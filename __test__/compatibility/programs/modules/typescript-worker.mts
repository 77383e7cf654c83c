import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import cluster, { isPrimary, isWorker, type Worker } from 'rust-cluster';

const self: Worker | undefined = cluster.worker;
const server = createServer().listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.([port > 0, isWorker, isPrimary, self?.id, 'suicide' in cluster.Worker.prototype]);
});
