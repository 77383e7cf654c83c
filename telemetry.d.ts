// Types of rust-cluster/telemetry.

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
