// What a worker of a TypeScript program does, from an ES module, with named imports and the default one.

import type { Address, ClusterSettings, Worker } from 'rust-cluster';
import cluster, { isPrimary, isWorker, Worker as WorkerClass } from 'rust-cluster';
import 'rust-cluster/register';

export const settings: ClusterSettings = { silent: true };
if (isPrimary) cluster.setupPrimary(settings);

const self: Worker | undefined = isWorker ? cluster.worker : cluster.workers?.[1];
self?.on('message', message => process.send?.(message));
self?.on('listening', (address: Address) => address.port.toFixed());
export const isOne: boolean = self instanceof WorkerClass;
if (cluster.worker?.exitedAfterDisconnect) cluster.worker.kill();
