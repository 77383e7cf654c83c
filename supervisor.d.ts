// Types of rust-cluster/supervisor.

// @ts-ignore
/// <reference types="node" />
// @ts-ignore
import type { EventEmitter } from 'node:events';

import type cluster = require('./index');

/**
 * Starts a program in several worker processes, keeps them running, and replaces them without losing a request. The
 * command `rust-cluster` is made of it. What is wrong with `options` is thrown at once: `ERR_RUST_CLUSTER_BAD_OPTION`,
 * `ERR_RUST_CLUSTER_UNKNOWN_OPTION`. Of a function, which is called now and anew at each reload, it rejects `finished`,
 * or the reload.
 *
 * The workers start in the next tick. No signals are listened for: whoever calls decides what they mean.
 *
 * @since rust-cluster 0.1.0
 */
export function supervise(
  options: SuperviseOptions | (() => SuperviseOptions | Promise<SuperviseOptions>),
): Supervisor;

/** Milliseconds, or a text: `'500ms'`, `'30s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = number | string;

/** Bytes, or a text: `'512M'`, `'1.5G'`. */
export type Size = number | string;

export interface SuperviseOptions {
  /** The program. A symbolic link in its path is looked up anew at each start of a worker. */
  exec: string;
  /** Its arguments. */
  args?: string[];
  /** Node's own options for it. */
  execArgv?: string[];
  /** Its folder. Default: the present one, as the shell names it: a symbolic link is looked up anew. */
  cwd?: string;
  /** Added to its environment. */
  env?: Record<string, string>;
  /** A file with the same, which Node reads anew at each start of a worker (`--env-file`). */
  envFile?: string;
  /** What it is called in `status()`. */
  name?: string;
  /** How many workers. Default: `'auto'`, as many as affinity and quotas of processor time allow. */
  workers?: number | 'auto';
  /**
   * Which worker gets a connection: as `dispatch` of `cluster.setupPrimary()`. Default: `'least-busy'`. An address that is
   * listened on already keeps what it has.
   */
  dispatch?: cluster.ClusterSettings['dispatch'];
  /** The worker that the client had before; by what it is known, as `sticky.by` there. */
  sticky?: 'address' | 'socket.io' | { cookie: string } | { header: string } | { query: string };
  /** Where there are metrics, health checks and status: as `telemetry` of `cluster.setupPrimary()`. Default: nowhere. */
  telemetry?: cluster.ClusterSettings['telemetry'];
  /** A worker is ready only once it has called `process.send('ready')`. Default: false, once it listens. */
  waitReady?: boolean;
  /** A worker that is not ready by then has failed; 0: no limit. Default: 60 s. */
  readyTimeout?: Duration;
  /** How long a worker that leaves may take for what is under way. Default: 25 s. */
  drain?: Duration;
  /** After that, from SIGTERM to SIGKILL. Default: 5 s. */
  killTimeout?: Duration;
  /** How long connections are taken after `stop()`. Default: 0; 5 s under Kubernetes. */
  shutdownDelay?: Duration;
  /** The first wait before the place of a worker that has died is filled again, and the longest. */
  backoff?: { first: Duration; most: Duration };
  /** A worker that has lived so long starts the back-off anew. Default: 60 s. */
  stableAfter?: Duration;
  /** The most restarts of all workers in that time; more of them wait. Default: 8 a worker within 60 s. */
  maxRestarts?: { count: number; within: Duration };
  /** Exit codes after which a worker is not started again. */
  stayDown?: number[];
  /** A worker that uses more memory is replaced; 0: none. PSS, where the kernel tells it, else RSS. */
  maxMemory?: Size;
  /** A worker that is older is replaced; 0: none. */
  maxLifetime?: Duration;
  /** A worker that has taken more connections is replaced; 0: none. */
  maxConnections?: number;
  /** By which part the limits differ from worker to worker, so that not all are replaced together. Default: 0.1. */
  jitter?: number;
  /** A worker whose event loop has not turned for so long is replaced; 0: none. Default: 60 s. */
  stuck?: Duration;
  /** When it is said where it is stuck. Default: 5 s. */
  stuckReport?: Duration;
  /** For the command: reload when a file changes. */
  watch?: boolean | string[];
}

/** What happens, as plain data: `event` is a stable name, and the rest depends on it. */
export interface Report {
  /** Milliseconds since 1970. */
  time: number;
  event: string;
  /** The place of a worker, from 0 on: the one that replaces it has the same. */
  slot?: number;
  /** `worker.id` of cluster. */
  worker?: number;
  pid?: number;
  // biome-ignore lint/suspicious/noExplicitAny: a detail of an event
  [detail: string]: any;
}

export interface WorkerStatus {
  slot: number;
  /** How often the slot was filled, with this time. */
  generation: number;
  /** `worker.id` of cluster; undefined while the slot is empty. */
  id?: number;
  pid?: number;
  state: 'waiting' | 'down' | 'starting' | 'booting' | 'ready' | 'draining' | 'terminating' | 'killed';
  /** Milliseconds since 1970. */
  since: number;
  /** How often a worker of this slot has died and was started again. */
  restarts: number;
  /** Bytes, where a limit has them looked at. */
  memory?: number;
  /** Connections that were taken, where a limit has them looked at. */
  connections?: number;
  /** Where it listens. */
  addresses: string[];
}

export interface SupervisorStatus {
  name?: string;
  /** Of the supervisor. */
  pid: number;
  /** Of rust-cluster. */
  version: string;
  state: 'starting' | 'running' | 'reloading' | 'stopping' | 'stopped';
  /** How many workers there are to be. */
  wanted?: number;
  workers: WorkerStatus[];
}

/** Why a reload was given up: `code` is `ERR_RUST_CLUSTER_RELOAD_FAILED`. */
export interface ReloadError extends Error {
  code: 'ERR_RUST_CLUSTER_RELOAD_FAILED';
  /** Whose new worker failed. */
  slot?: number;
  why: string;
  /** The error that ended it, if it was one, by lines. */
  lines: string[];
}

export interface Supervisor extends EventEmitter {
  /** As the options have it. */
  readonly name: string | undefined;
  /** The exit code, once all workers have ended: 0 if all requests were answered, 3 if some were cut off. */
  readonly finished: Promise<number>;
  /**
   * Replaces every worker, one after the other, the new one first: done when all new ones are ready. If one fails, the rest
   * of the old ones stay, and it rejects with a `ReloadError`. Who calls while it runs joins it. Before the supervisor has
   * begun, or after its end: `ERR_RUST_CLUSTER_NOT_SUPERVISING`.
   */
  reload(): Promise<{ replaced: number }>;
  /** Has so many workers from now on, or rejects with `ERR_RUST_CLUSTER_SCALE_FAILED`. */
  scale(workers: number): Promise<{ workers: number }>;
  /** Ends all workers once what they have under way is finished; called again, at once. The same as `finished`. */
  stop(): Promise<number>;
  /** What there is, as plain data. */
  status(): SupervisorStatus;

  on(event: 'report', listener: (report: Report) => void): this;
  once(event: 'report', listener: (report: Report) => void): this;
  off(event: 'report', listener: (report: Report) => void): this;
}
