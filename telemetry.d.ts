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
