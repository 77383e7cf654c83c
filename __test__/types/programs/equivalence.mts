// The same of ES modules: what is imported from Node's module and from ours can stand for each other.

import nodeCluster, * as nodeNames from 'node:cluster';
import cluster, * as names from 'rust-cluster';

export const ours: typeof nodeCluster = cluster;
export const nodes: typeof cluster = nodeCluster;

/** The named exports that ours has: all that there are at run time, if with the value undefined. */
type Names = Exclude<keyof typeof names, 'default'>;
declare const nodesOwn: { [Name in Names]: (typeof nodeNames)[Name] };
export const ourNames: typeof nodesOwn = names;
export const nodesNames: Pick<typeof names, Names> = nodesOwn;
