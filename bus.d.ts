// What the processes of a cluster say to each other: see docs/bus.md.

/** Where a process is: the slot that its worker fills, or the primary. */
export type Place = number | 'primary';

/** A process of another machine, from which messages come by a bridge. */
export interface RemotePlace {
  machine: string;
  slot: Place;
}

/** A message as it arrives, and who has posted it. */
export interface BusMessageEvent<T = any> extends Event {
  /** The copy of what was posted. */
  readonly data: T;
  /** Who has posted it. */
  readonly from: Place | RemotePlace;
  /** The trace that it belongs to, as W3C's Trace Context has it: `propagation.extract(context.active(), event)`. */
  readonly traceparent: string | undefined;
}

/** How a message is posted. */
export interface PostOptions {
  /**
   * The trace that it belongs to, as W3C's Trace Context has it; what is none is left out, and null: none. Default: that of
   * OpenTelemetry's active context, where the program has set up OpenTelemetry.
   */
  traceparent?: string | null;
}

/** This process has missed messages: it did not read in time, or they were lost between machines. */
export interface GapEvent extends Event {
  /** How many. Undefined: nobody knows, since the broker was away. */
  readonly missed: number | undefined;
}

/** How a request is made. */
export interface RequestOptions {
  /** Whom it is for: `'any'`, the next in turn of those who answer (the default), `'all'` of them, or the process there. */
  to?: 'any' | 'all' | Place;
  /** Aborted, the promise rejects with its reason, and whoever was asked is told. */
  signal?: AbortSignal;
}

/** One of the answers to a request to all. */
export type Answer<T = any> =
  | { from: Place; status: 'fulfilled'; value: T }
  | { from: Place; status: 'rejected'; reason: any };

/**
 * The web's BroadcastChannel, across all processes of the cluster: what one posts arrives at all other channels of the
 * name, in this process and in the others, in the order of its posting, at most once.
 */
export declare class BroadcastChannel extends EventTarget {
  /** @throws if the name has more than 1024 bytes, and `ERR_RUST_CLUSTER_NO_BUS` in a worker thread */
  constructor(name: string);
  readonly name: string;
  /** Called with each message. */
  onmessage: ((event: BusMessageEvent) => any) | null;
  /** Called with a message of which no copy could be made. */
  onmessageerror: ((event: BusMessageEvent) => any) | null;
  /** Called when messages were missed. */
  ongap: ((event: GapEvent) => any) | null;
  /**
   * Posts a copy of a value to all others.
   *
   * @throws a DataCloneError for what structuredClone() does not copy, `ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE` beyond 16 MiB,
   *   `ERR_RUST_CLUSTER_BUS_GONE` when the primary has ended
   */
  postMessage(message: any, options?: PostOptions): void;
  /**
   * Asks those who answer on this channel in other processes. Rejects with what the other has thrown, with
   * `ERR_RUST_CLUSTER_BUS_NOBODY` if nobody answers, at once with `ERR_RUST_CLUSTER_BUS_GONE` if the other ends before it has,
   * and with `ERR_RUST_CLUSTER_BUS_FULL` if it does not read.
   */
  request<T = any>(data: any, options: RequestOptions & { to: 'all' }): Promise<Answer<T>[]>;
  request<T = any>(data: any, options?: RequestOptions): Promise<T>;
  /** Answers requests from now on, with what the function returns or its promise resolves to; null: no more. */
  answer(answer: ((data: any, about: { from: Place; signal: AbortSignal }) => any) | null): void;
  /**
   * Resolves when all that was said on the bus before is done: this process hears what others post from then on. Rejects
   * with `ERR_RUST_CLUSTER_BUS_REFUSED` if it has too many channels, or their names are too long together.
   */
  ready(): Promise<void>;
  close(): void;
  /** An open channel keeps the process alive, until the worker has disconnected from the cluster. */
  ref(): this;
  unref(): this;
}

/** A lock, while it is held. */
export interface Lock {
  readonly name: string;
  readonly mode: 'exclusive' | 'shared';
}

/** As the Web Locks API has it. */
export interface LockOptions {
  mode?: 'exclusive' | 'shared';
  ifAvailable?: boolean;
  steal?: boolean;
  signal?: AbortSignal;
}

/** A lock that is held or waited for. */
export interface LockInfo {
  name: string;
  mode: 'exclusive' | 'shared';
  /** The slot of the process, or `'primary'`. */
  clientId: string;
}

/**
 * The Web Locks API, across all processes of the cluster. A lock is held until what the callback returns has settled, or
 * its process has ended. The callback's second argument, which the web does not have, tells that the lock is lost: it was stolen,
 * or the primary has ended.
 */
export declare const locks: {
  request<T>(name: string, callback: (lock: Lock, lost: AbortSignal) => T | PromiseLike<T>): Promise<T>;
  request<T>(
    name: string,
    options: LockOptions & { ifAvailable: true },
    callback: (lock: Lock | null, lost: AbortSignal) => T | PromiseLike<T>,
  ): Promise<T>;
  request<T>(
    name: string,
    options: LockOptions,
    callback: (lock: Lock, lost: AbortSignal) => T | PromiseLike<T>,
  ): Promise<T>;
  query(): Promise<{ held: LockInfo[]; pending: LockInfo[] }>;
};

/**
 * Waits until this process leads, calls the function, and leads until what that returns has settled: one process of the cluster
 * at a time. The signal tells that it is to stop: because the worker is to leave, because `options.signal` says so, or because
 * the primary has ended. Resolves to what that function returns; to undefined if the worker leaves before it leads.
 */
export declare function leader<T>(
  name: string,
  lead: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T | undefined>;
export declare function leader<T>(
  name: string,
  options: { signal?: AbortSignal },
  lead: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T | undefined>;

/**
 * Values and counters that all processes share. They live in the primary, outside of its JavaScript, and end with it. 64 MiB are
 * kept: what was changed longest ago makes room.
 */
export declare const store: {
  /** What is kept under the key, or undefined. */
  get<T = any>(key: string): Promise<T | undefined>;
  /** Keeps a copy of a value, for `ttl` milliseconds if that is given. An integer is a counter, from which `increment()` goes on. */
  set(key: string, value: any, options?: { ttl?: number }): Promise<void>;
  /**
   * Adds `by` (1) to a counter, which begins at 0, and lives for `ttl` milliseconds from its beginning on if that is given.
   * Resolves to what it is now, and how many milliseconds it lives still (0: for ever).
   */
  increment(key: string, options?: { by?: number; ttl?: number }): Promise<{ value: number; ttl: number }>;
  /** Whether something was removed. */
  delete(key: string): Promise<boolean>;
};

/** What a bridge says and hears by: four functions and a status. */
export interface BridgeTransport {
  /** Whether the broker is there. */
  readonly connected: boolean;
  /** Bytes that the broker takes at once. */
  readonly limit?: number;
  /** Sends. A promise, if there is one, resolves when the broker has it: what was not confirmed waits, and is bounded. */
  publish(subject: string, bytes: Buffer): void | PromiseLike<unknown>;
  /**
   * Calls `heard` with what arrives from now on. Called again, of the same subjects, after each reconnect. A promise resolves
   * when the broker knows.
   */
  subscribe(subject: string, heard: (bytes: Uint8Array) => void): void | PromiseLike<unknown>;
  /** No more of it. Also while `connected` is false: it is not subscribed to again. */
  unsubscribe(subject: string): void | PromiseLike<unknown>;
  /** Lets go of all subscriptions, and of what else it has. No event after that. */
  close(): void | PromiseLike<unknown>;
  /** `connected` has become true. */
  on(event: 'connected', listener: () => void): unknown;
  /** `connected` has become false. */
  on(event: 'disconnected', listener: (reason?: unknown) => void): unknown;
  /** Something has failed. */
  on(event: 'error', listener: (error: any) => void): unknown;
  removeListener(event: string, listener: (...args: any[]) => void): unknown;
}

/** How a machine is joined to others. */
export interface BridgeOptions {
  /** What subjects at the broker begin with, an application's own. Default: `'rust-cluster'`. */
  prefix?: string;
  /** What others know this machine by. Default: the name of the host. */
  machine?: string;
  /** The names of the channels that are bridged. Default: all. */
  channels?: string[];
}

/** What went wrong, and how many messages were dropped for it, since it was last told. */
export interface BridgeError extends Error {
  code: string;
  messages: number;
}

/** What a bridge has done, in messages. */
export interface BridgeFigures {
  sent: number;
  received: number;
  /** Of other machines, as their numbers tell. */
  missed: number;
  /** That came twice, and were dropped. */
  repeated: number;
  /** For which error, by its code. */
  dropped: Record<string, number>;
  /** Bytes that wait for the broker. */
  waiting: number;
}

/** The channels of this machine, joined with those of others. */
export interface Bridge {
  readonly connected: boolean;
  figures(): BridgeFigures;
  /** Resolves when the broker is there, and knows of the channels: those in `channels`, or those that are open here by now. */
  ready(): Promise<void>;
  /** No more is told or heard. The broker's client stays connected. */
  close(): Promise<void>;
  on(event: 'connected', listener: () => void): this;
  on(event: 'disconnected', listener: (reason?: unknown) => void): this;
  /** Messages of other machines are missing; `missed` and `machine` undefined: nobody knows how many, since the broker was away. */
  on(
    event: 'gap',
    listener: (gap: { channel: string; machine: string | undefined; missed: number | undefined }) => void,
  ): this;
  /** Where nobody listens, it is a warning of the process. */
  on(event: 'error', listener: (error: BridgeError) => void): this;
  once: this['on'];
  off(event: string, listener: (...args: any[]) => void): this;
}

/**
 * Joins the channels of this cluster with those of other machines. Called in the primary.
 *
 * @throws `ERR_RUST_CLUSTER_BRIDGE_PRIMARY` elsewhere
 */
export declare function bridge(transport: BridgeTransport, options?: BridgeOptions): Bridge;
