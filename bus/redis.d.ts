// bridge() over Redis: see docs/bus.md.

import type { BridgeTransport } from '../bus.js';

/** A client of `ioredis` or `redis`, as far as it is used here. */
export interface RedisClient {
  duplicate(): any;
  publish(channel: string, message: any): Promise<number>;
  on(event: string, listener: (...args: any[]) => void): any;
  removeListener(event: string, listener: (...args: any[]) => void): any;
}

/**
 * A transport for `bridge()` over a client of the program's, which stays connected when the bridge is closed. A client that
 * is not connected yet is told to. Another one, made by its `duplicate()`, listens.
 */
export declare function redis(client: RedisClient): BridgeTransport;
