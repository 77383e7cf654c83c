// Types of rust-cluster/telemetry.

import type { Address } from 'node:cluster';
import type { Place, RemotePlace } from './bus';
import type { Worker } from './index';

/** An address of the Internet. */
export interface TelemetryAddress {
  /** Of the host. */
  address: string;
  /** Of the address. */
  family: 'IPv4' | 'IPv6';
  /** The one that was found, where the setting has port 0. */
  port: number;
}

/**
 * Where metrics, health and status of this cluster are, as the setting `telemetry` has it: an address, or the path of a
 * socket. `null` before the first fork, where another process listens there, and in a worker.
 * @since rust-cluster 0.1.0
 */
export function address(): TelemetryAddress | string | null;

/** What gives metrics as text, in the format of Prometheus or OpenMetrics: a register of prom-client is one. */
export interface MetricsRegister {
  /** All of them. */
  metrics(): string | Promise<string>;
}

/**
 * Has the metrics of this worker be part of `/metrics` of the cluster: counters and histograms as sums, also of workers that
 * have gone, gauges by slot. Without it, prom-client's default register is collected, if the program has loaded prom-client.
 *
 * Where there is no telemetry, and in a process that is no worker, it does nothing.
 * @throws `ERR_INVALID_ARG_TYPE`
 * @since rust-cluster 0.1.0
 */
export function collect(source: MetricsRegister | (() => string | Promise<string>)): void;

/**
 * What is published by `node:diagnostics_channel`, by channel: of the cluster in the primary (see docs/metrics.md), of the bus
 * in each process (see docs/bus.md).
 * @since rust-cluster 0.1.0
 */
export interface DiagnosticsMessages {
  'rust-cluster:fork': { worker: Worker };
  'rust-cluster:online': { worker: Worker };
  'rust-cluster:listening': { worker: Worker; address: Address };
  'rust-cluster:disconnect': { worker: Worker };
  'rust-cluster:exit': { worker: Worker; code: number | null; signal: string | null };
  'rust-cluster:stuck': { worker: Worker };
  'rust-cluster:recovered': { worker: Worker };
  'rust-cluster:rescued': { worker: Worker; count: number };
  'rust-cluster:refused': { address: string; count: number };
  'rust-cluster:reload:start': { name: string; slots: number };
  'rust-cluster:reload:step': { name: string; worker: Worker };
  'rust-cluster:reload:end': { name: string; replaced?: number; why?: string; slot?: number };
  'rust-cluster:bus:publish': { name: string; data: unknown };
  'rust-cluster:bus:deliver':
    | { name: string; from: Place | RemotePlace; data: unknown }
    | { name: string; from: Place | RemotePlace; error: Error };
  'rust-cluster:bus:gap': { name: string; missed: number | undefined };
}
