// bridge() over NATS: see docs/bus.md.

import type { BridgeTransport } from '../bus.js';

/** A connection of `nats` or `@nats-io/transport-node`, as far as it is used here. */
export interface NatsConnection {
  publish(subject: string, payload: Uint8Array): void;
  subscribe(
    subject: string,
    options: { callback: (error: any, message: any) => void },
  ): { unsubscribe(): void };
  flush(): Promise<void>;
  closed(): Promise<void | Error>;
  isClosed(): boolean;
  status(): AsyncIterable<any>;
}

/**
 * A transport for `bridge()` over a connection of the program's, which stays open when the bridge is closed. Connect with
 * `maxReconnectAttempts: -1`: the clients give up after ten.
 */
export declare function nats(connection: NatsConnection): BridgeTransport;
