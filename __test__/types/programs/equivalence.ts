// Node's types and ours can stand for each other, for all that Node has.

import nodeCluster = require('node:cluster');
import cluster = require('rust-cluster');

/** Fails to compile where one of the two cannot be used as the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

export const module: Same<typeof import('rust-cluster'), typeof import('node:cluster')> = true;
export const object: Same<cluster.Cluster, nodeCluster.Cluster> = true;
export const worker: Same<cluster.Worker, nodeCluster.Worker> = true;
export const workerClass: Same<cluster.Cluster['Worker'], nodeCluster.Cluster['Worker']> = true;
export const options: Same<cluster.WorkerOptions, nodeCluster.WorkerOptions> = true;
export const settings: Same<cluster.ClusterSettings, nodeCluster.ClusterSettings> = true;
export const address: Same<cluster.Address, nodeCluster.Address> = true;
export const workerEvents: Same<Omit<cluster.WorkerEventMap, 'draining'>, nodeCluster.WorkerEventMap> = true;
export const clusterEvents: Same<cluster.ClusterEventMap, nodeCluster.ClusterEventMap> = true;
export const names: Same<
  keyof cluster.Cluster | keyof cluster.Worker | keyof cluster.ClusterSettings | keyof cluster.Address,
  | keyof nodeCluster.Cluster
  | (keyof nodeCluster.Worker | 'suicide' | 'state' | 'slot')
  | (
      | keyof nodeCluster.ClusterSettings
      | 'dispatch'
      | 'maxMessageSize'
      | 'maxQueuedBytes'
      | 'parentDeathSignal'
      | 'telemetry'
    )
  | (keyof nodeCluster.Address | 'fd')
> = true;

// Without a helper between them: what a program would do.
export const ours: typeof nodeCluster = cluster;
export const nodes: typeof cluster = nodeCluster;
