const cluster: typeof import('rust-cluster') = require('rust-cluster');
const http: typeof import('node:http') = require('node:http');

const { isWorker, isPrimary } = cluster;
const server = http.createServer().listen(0, '127.0.0.1', () => {
  const { port } = server.address() as import('node:net').AddressInfo;
  process.send?.([port > 0, isWorker, isPrimary, cluster.worker?.id, 'suicide' in cluster.Worker.prototype]);
});
