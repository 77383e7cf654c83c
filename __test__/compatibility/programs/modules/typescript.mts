import cluster, { type Worker } from 'node:cluster';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';

interface Message {
  readonly port: number;
  readonly isWorker: boolean;
  readonly ours: boolean;
}

// So that the test hears of the workers in the control too.
createRequire(import.meta.url)('node:cluster');
const file: string = process.argv[1];
/** An old name that Node's own cluster has not. */
const ours: boolean = 'suicide' in cluster.Worker.prototype;

if (cluster.isPrimary) {
  const worker: Worker = cluster.fork();
  worker.on('message', (message: Message) => {
    console.log(JSON.stringify(['message', [message.port > 0, message.isWorker, file.endsWith('.mts')]]));
    console.log(JSON.stringify(['ours', [ours, message.ours]]));
    worker.disconnect();
  });
} else {
  const server: Server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    process.send?.({ port, isWorker: cluster.isWorker, ours } satisfies Message);
  });
}
