// Types of the ES module: the members of the cluster object by name, as they are when it is loaded, and the
// types of index.d.ts, where all is documented.

import cluster from './index.js';

export default cluster;

export declare const isPrimary: cluster.Cluster['isPrimary'];
export declare const isMaster: cluster.Cluster['isMaster'];
export declare const isWorker: cluster.Cluster['isWorker'];
export declare const worker: cluster.Cluster['worker'];
export declare const workers: cluster.Cluster['workers'];
export declare const Worker: cluster.Cluster['Worker'];
export declare const settings: cluster.Cluster['settings'];
export declare const schedulingPolicy: cluster.Cluster['schedulingPolicy'];
export declare const SCHED_NONE: cluster.Cluster['SCHED_NONE'];
export declare const SCHED_RR: cluster.Cluster['SCHED_RR'];
export declare const fork: cluster.Cluster['fork'];
export declare const setupPrimary: cluster.Cluster['setupPrimary'];
export declare const setupMaster: cluster.Cluster['setupMaster'];
export declare const disconnect: cluster.Cluster['disconnect'];

export type Address = cluster.Address;
export type Cluster = cluster.Cluster;
export type ClusterEventMap = cluster.ClusterEventMap;
export type ClusterSettings = cluster.ClusterSettings;
export type DispatchPolicy = cluster.DispatchPolicy;
export type DispatchSettings = cluster.DispatchSettings;
export type ForkOptions = cluster.ForkOptions;
export type PortDispatchSettings = cluster.PortDispatchSettings;
export type SendCallback = cluster.SendCallback;
export type StickySettings = cluster.StickySettings;
export type TelemetrySettings = cluster.TelemetrySettings;
export type Worker = cluster.Worker;
export type WorkerEventMap = cluster.WorkerEventMap;
export type WorkerOptions = cluster.WorkerOptions;
export type WorkerState = cluster.WorkerState;
