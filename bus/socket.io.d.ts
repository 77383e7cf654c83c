// A Socket.IO adapter over the bus: see docs/socket.io.md.

/** How an adapter is made. Those of one name belong together. */
export interface AdapterOptions {
  /** Tells applications that share a cluster apart. Default: `'socket.io'`. */
  name?: string;
  /** Milliseconds between two signs of life. Default: 5000. */
  heartbeatInterval?: number;
  /**
   * Milliseconds after which a server that has given none is counted no more. One whose process ends is counted no more at once,
   * unless its machine ends. Default: 10000.
   */
  heartbeatTimeout?: number;
}

/**
 * What `io.adapter()` takes: whatever is emitted in one process of the cluster reaches the clients of all, and of
 * other machines where `bridge()` joins the channel of its name.
 *
 * @throws `MODULE_NOT_FOUND` if the program has no socket.io; where the adapter is made, `ERR_RUST_CLUSTER_NO_BUS` in a process
 *   that is no member of the bus
 */
export declare function createAdapter(options?: AdapterOptions): (namespace: any) => any;
