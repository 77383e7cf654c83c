// Types of rust-cluster: Node's cluster, member for member, and what this package has besides.
//
// They build on those of @types/node, and each can be used where the other is asked for. Without @types/node
// what is imported here is `any`, and what this file declares itself is what there is: every member below.

// biome-ignore-all lint/suspicious/noExplicitAny: where Node's own types have it, so have these
// biome-ignore-all lint/suspicious/noTsIgnore: nothing to expect where @types/node is there

// @ts-ignore
/// <reference types="node" />
// @ts-ignore
import type childProcess = require('node:child_process');
// @ts-ignore
import type nodeCluster = require('node:cluster');

/**
 * The cluster object of this process: of the primary, or of a worker. It is Node's own object, with this
 * engine in it: `require('cluster')`, and every dependency that calls it, get the same one.
 *
 * Errors of this package's own have these codes, besides Node's:
 *
 * - `ERR_RUST_CLUSTER_NO_BINARY`, thrown by the first `require`: no native addon for this machine was found.
 *   The message tells where it was looked for, why each place failed, and what to do.
 * - `ERR_RUST_CLUSTER_BAD_START`, thrown before a worker's program runs: its launcher did not hand on what the primary
 *   gave it, or somebody else set RUST_CLUSTER_WORKER.
 * - `ERR_RUST_CLUSTER_TOO_LATE`, thrown by the first `require`: Node's own cluster has forked workers
 *   already.
 * - `ERR_RUST_CLUSTER_BAD_MESSAGE`, `ERR_RUST_CLUSTER_BAD_FRAME`, `ERR_RUST_CLUSTER_FRAME_TOO_LARGE`,
 *   `ERR_RUST_CLUSTER_STRAY_DESCRIPTOR`, `ERR_RUST_CLUSTER_BAD_HANDOFF`, with a worker's 'error' (a warning, if
 *   nobody listens): what came from it cannot be read. Its channel is closed.
 * - `ERR_RUST_CLUSTER_QUEUE_FULL`, in the same way: the worker does not read, and more than `maxQueuedBytes` wait for it.
 * - `ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE`, thrown by `send()`: the message is longer than the
 *   setting `maxMessageSize`, or than V8's longest string (about 512 MiB), which no channel takes.
 * - `ERR_RUST_CLUSTER_BROKEN_INTAKE`, thrown in a worker where nobody can catch it: somebody has closed, or read from, the
 *   socket on which it is given connections.
 *
 * and these warnings (`process.on('warning')`):
 *
 * - `ERR_RUST_CLUSTER_UNSUPPORTED`: there is no engine for this platform; Node's own cluster serves.
 * - `ERR_RUST_CLUSTER_STARVED`: the primary has no descriptor left to accept a connection with. Connections
 *   wait, and are served when one is free.
 * - `ERR_RUST_CLUSTER_NO_METRICS`: a worker's own metrics could not be collected; a process warning there
 * - `ERR_RUST_CLUSTER_METRICS_LEFT_OUT`: a worker's own metrics are too many, or nonsense; once a slot.
 * - `ERR_RUST_CLUSTER_NO_TELEMETRY`: the address that `telemetry` names could not be had; the cluster serves without it,
 *   and tries again.
 * - `ERR_RUST_CLUSTER_NO_PAGE`: the files of the live view are not there; all other telemetry is.
 * - `ERR_RUST_CLUSTER_UNHEARD`: a socket or server that a worker has sent the primary ended with an error, and nobody
 *   listens to its 'error' event.
 * - `ERR_RUST_CLUSTER_UNSENT`: the system does not take messages for another process, since too many sockets were sent
 *   and not received yet, or it is short of memory. They wait, and are sent once it does.
 * - `ERR_RUST_CLUSTER_NO_THREAD`: a thread of a worker could not start, since a file of this package was removed.
 * - `ERR_RUST_CLUSTER_LOST_CONNECTION`: a worker had no descriptor left for a connection, in the moment in which the
 *   primary took others back from it.
 *
 * @since rust-cluster 0.1.0
 */
declare const cluster: cluster.Cluster;

declare namespace cluster {
  /** Called with the outcome of a `send()`: null once the kernel has the message. */
  type SendCallback = (error: Error | null) => void;

  /**
   * What a worker went through last. Node has the property, but does not document it.
   *
   * - `none`: forked
   * - `online`: runs JavaScript
   * - `listening`: has a server that listens
   * - `disconnecting`, `destroying`: ends of its own accord (seen in the worker only)
   * - `disconnected`: its channel is closed
   * - `dead`: its process has ended
   */
  type WorkerState =
    | 'none'
    | 'online'
    | 'listening'
    | 'disconnecting'
    | 'destroying'
    | 'disconnected'
    | 'dead';

  /** How the workers are started: see {@link Cluster.setupPrimary}. */
  interface ClusterSettings extends nodeCluster.ClusterSettings {
    /**
     * Arguments of the Node.js executable.
     * @default process.execArgv
     * @since Node 0.12.0
     */
    execArgv?: string[] | undefined;

    /**
     * The file that a worker runs.
     * @default process.argv[1]
     * @since Node 0.7.1
     */
    exec?: string | undefined;

    /**
     * Arguments of that file.
     * @default process.argv.slice(2)
     * @since Node 0.7.1
     */
    args?: readonly string[] | undefined;

    /**
     * The working directory of a worker.
     * @default the primary's, at the time of the fork
     * @since Node 9.5.0
     */
    cwd?: string | undefined;

    /**
     * How messages are serialised: as JSON; or as V8 clones values, which keeps Map, Set, BigInt, Date,
     * RegExp, Error, Buffer, typed arrays and cycles.
     * @default 'json'
     * @since Node 13.2.0
     */
    serialization?: 'json' | 'advanced' | undefined;

    /**
     * Whether a worker's output goes to `worker.process.stdout` and `stderr` instead of the primary's own.
     * @default false
     * @since Node 0.7.1
     */
    silent?: boolean | undefined;

    /**
     * The descriptors of a worker, as `child_process.spawn()` takes them. One must be `'ipc'`, or `fork()`
     * throws `ERR_CHILD_PROCESS_IPC_REQUIRED`. Overrides `silent`.
     * @default [0, 1, 2, 'ipc']
     * @since Node 6.4.0
     */
    stdio?: any[] | undefined;

    /**
     * The user that a worker runs as: the number that setuid(2) takes. `fork()` throws `EPERM` if the primary
     * may not set it.
     * @default the primary's
     * @since Node 0.12.0
     */
    uid?: number | undefined;

    /**
     * The group that a worker runs as: the number that setgid(2) takes. `fork()` throws `EPERM` if the
     * primary may not set it.
     * @default the primary's
     * @since Node 0.12.0
     */
    gid?: number | undefined;

    /**
     * The inspector's port in a worker, or a function that gives one for each. Used where the worker is
     * started with `--inspect`. `fork()` throws `ERR_SOCKET_BAD_PORT` for what is no port.
     * @default process.debugPort + 1 for the first worker, + 2 for the second …
     * @since Node 8.2.0
     */
    inspectPort?: number | (() => number) | undefined;

    /**
     * Hides the console windows of workers, on Windows.
     * @default false
     * @since Node 9.4.0
     */
    windowsHide?: boolean | undefined;

    /**
     * How many bytes the longest message that a worker sends may have: 4096 at least. What counts is the message,
     * however it travels: `Buffer.byteLength(JSON.stringify(message))`, and with `serialization: 'advanced'`
     * `v8.serialize(message).length`. For one that is longer `send()` in the worker throws
     * `ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE`; the channel of a worker that sends it all the same is closed. What cannot
     * be throws `ERR_INVALID_ARG_VALUE`.
     * @default 536870888, what the longest string of V8 has
     * @since rust-cluster 0.1.0
     */
    maxMessageSize?: number | undefined;

    /**
     * How many bytes may wait for a worker that does not read them: 131072 at least, where `send()` has begun
     * to return false. A message that makes them more ends the worker's channel, with the 'error'
     * `ERR_RUST_CLUSTER_QUEUE_FULL`. What cannot be throws `ERR_INVALID_ARG_VALUE`.
     * @default undefined, as many as there is memory for
     * @since rust-cluster 0.1.0
     */
    maxQueuedBytes?: number | undefined;

    /**
     * The signal that the kernel sends a worker when the primary dies (more exactly: when the thread that
     * forked it ends): with `'SIGKILL'` even a stuck worker ends at once. Without it a worker exits as soon as
     * its event loop turns. An unknown one throws `ERR_UNKNOWN_SIGNAL`.
     * @default undefined
     * @since rust-cluster 0.1.0
     */
    parentDeathSignal?: string | number | undefined;

    /**
     * Which worker gets a connection, and who says who its client is: a policy, or settings that may differ from port to
     * port. Read when the first worker listens there. What cannot be throws `ERR_INVALID_ARG_VALUE`. See
     * docs/sticky.md.
     * @default 'least-busy'
     * @since rust-cluster 0.1.0
     */
    dispatch?: DispatchPolicy | DispatchSettings | undefined;

    /**
     * Where there are metrics, health checks and the status of this cluster, over HTTP, from a thread of the primary that runs
     * no JavaScript: settings, or a text, `'127.0.0.1:9464'` or the path of a socket. In force from the first `fork()` on.
     * What cannot be throws `ERR_INVALID_ARG_VALUE`. See docs/telemetry.md.
     * @default undefined, nowhere
     * @since rust-cluster 0.1.0
     */
    telemetry?: string | TelemetrySettings | undefined;
  }

  /** Where there are metrics, health checks and status: at an address, or at a path. */
  interface TelemetrySettings {
    /**
     * The port; 0: any free one, which `address()` of `rust-cluster/telemetry` tells.
     * @default 9464
     * @since rust-cluster 0.1.0
     */
    port?: number | undefined;

    /**
     * The address to listen on, an IP address. Whoever can connect can read.
     * @default '127.0.0.1'
     * @since rust-cluster 0.1.0
     */
    host?: string | undefined;

    /**
     * Names by which readers may call this host, besides its addresses and `localhost`: a request that names another is
     * refused, since it may come from a page of somebody else's.
     * @default []
     * @since rust-cluster 0.1.0
     */
    hosts?: readonly string[] | undefined;

    /**
     * The path of a Unix socket, in the place of all of these.
     * @since rust-cluster 0.1.0
     */
    path?: string | undefined;
  }

  /**
   * Who gets a connection: the next in turn that is not busy, if there is one; the next in turn, whatever it does; or who had
   * the client before.
   */
  type DispatchPolicy = 'least-busy' | 'round-robin' | 'sticky';

  /** How connections are dispatched: on one port. */
  interface PortDispatchSettings {
    /**
     * Who gets a connection.
     * @default 'least-busy'
     * @since rust-cluster 0.1.0
     */
    policy?: DispatchPolicy | undefined;

    /**
     * How the policy `'sticky'` tells clients, which it needs.
     * @since rust-cluster 0.1.0
     */
    sticky?: StickySettings | undefined;

    /**
     * The networks, or addresses, whose connections begin with a header of the PROXY protocol.
     * @default []
     * @since rust-cluster 0.1.0
     */
    proxyProtocol?: readonly string[] | undefined;

    /**
     * The most connections that a worker has open: others wait for the first that has room. One of HTTP/1 on which nothing
     * is asked between two requests does not count. Ports that have none of their own share the general one. See
     * docs/dispatch.md.
     * @default Infinity
     * @since rust-cluster 0.1.0
     */
    maxConnections?: number | undefined;

    /**
     * How long a client waits for a worker that has room, in milliseconds; 0: not at all. Needs `maxConnections`.
     * @default as long as it takes
     * @since rust-cluster 0.1.0
     */
    queueTimeout?: number | undefined;

    /**
     * What a client gets that has waited for so long: its connection is reset, or, if it has asked something in HTTP/1, it is
     * answered `503 Service Unavailable`. Needs `queueTimeout`.
     * @default 'reset'
     * @since rust-cluster 0.1.0
     */
    refuseWith?: 'reset' | 503 | undefined;

    /**
     * For how long, in milliseconds, the limit of a new worker grows, beside workers that have served for longer: from one
     * connection to all. Needs `maxConnections`.
     * @default 0
     * @since rust-cluster 0.1.0
     */
    slowStart?: number | undefined;
  }

  /** How connections are dispatched: on all ports. */
  interface DispatchSettings extends PortDispatchSettings {
    /**
     * What differs on a port, or on a Unix socket, by its number or path.
     * @default {}
     * @since rust-cluster 0.1.0
     */
    ports?: Readonly<Record<string | number, DispatchPolicy | PortDispatchSettings>> | undefined;
  }

  /** How the policy `'sticky'` tells clients. */
  interface StickySettings {
    /**
     * By their address; by the session id of Socket.IO; or by what a first request has in a cookie, a header field or a
     * parameter of its address.
     * @since rust-cluster 0.1.0
     */
    by: 'address' | 'socket.io' | { cookie: string } | { header: string } | { query: string };

    /**
     * What becomes of a client whose worker takes nothing: another one serves it meanwhile, or it waits.
     * @default 'prefer'
     * @since rust-cluster 0.1.0
     */
    owner?: 'prefer' | 'strict' | undefined;

    /**
     * What is led to a client's worker: a connection, by its first request; or each request, as behind a proxy that sends
     * requests of many clients on one kept-alive connection. Not by `'address'`.
     * @default 'connection'
     * @since rust-cluster 0.1.0
     */
    per?: 'connection' | 'request' | undefined;
  }

  /** Where a worker listens. */
  interface Address extends nodeCluster.Address {
    /**
     * The host's address, null (against its type, which is Node's) for all of them; the path of a Unix
     * socket.
     */
    address: string;

    /** The port; -1 for a Unix socket. The one that was found, where the worker asked for port 0. */
    port: number;

    /** 4: TCP over IPv4; 6: TCP over IPv6; -1: a Unix socket; 'udp4' and 'udp6': UDP. */
    addressType: 4 | 6 | -1 | 'udp4' | 'udp6';

    /** The descriptor of the primary that `listen({ fd })` named. */
    fd?: number | undefined;
  }

  /** What `fork()` takes besides the environment. */
  interface ForkOptions {
    /**
     * The slot that the worker fills, an integer from 0 to 65535, also while another one fills it: the worker that it is to
     * replace. What cannot be throws `ERR_INVALID_ARG_VALUE`.
     * @default the lowest that is free
     * @since rust-cluster 0.1.0
     */
    slot?: number | undefined;
  }

  /** What `new cluster.Worker()` takes. Programs have no need of it: `fork()` makes the workers. */
  interface WorkerOptions {
    /** Its number. @default 0 */
    id?: number | undefined;

    /** Its slot: see {@link WorkerMembers.slot}. */
    slot?: number | undefined;

    /** The process whose 'message' and 'error' the worker has too. */
    process?: childProcess.ChildProcess | undefined;

    /** What it went through last. @default 'none' */
    state?: string | undefined;
  }

  /** The events of a {@link Worker}, with what their listeners get. */
  interface WorkerEventMap {
    /**
     * A supervisor has told the worker to leave: what does not end by itself (streams of events, websockets) is to be ended
     * within that many milliseconds. In the worker only.
     * @since rust-cluster 0.1.0
     */
    draining: [event: { within: number }];

    /**
     * The channel is closed: after `disconnect()`, or at the process's end. Before 'exit'.
     * @since Node 0.7.7
     */
    disconnect: [];

    /** The process could not be started, be killed or be sent a message to. @since Node 0.7.3 */
    error: [error: Error];

    /**
     * The process has ended: with this exit code, or (the code is null) through this signal. In the primary
     * only.
     * @since Node 0.11.2
     */
    exit: [code: number, signal: string];

    /** A server of the worker listens. In the primary only. @since Node 0.7.0 */
    listening: [address: Address];

    /** The other side sent a message, perhaps with a handle. @since Node 0.7.0 */
    message: [message: any, handle: childProcess.SendHandle];

    /** The worker runs JavaScript. In the primary only. @since Node 0.7.0 */
    online: [];
  }

  /** The events of the primary's {@link Cluster}, with what their listeners get. A worker's has none. */
  interface ClusterEventMap {
    /** The channel of a worker is closed. @since Node 0.7.9 */
    disconnect: [worker: Worker];

    /**
     * The process of a worker has ended: with this exit code, or (the code is null) through this signal.
     * @since Node 0.7.9
     */
    exit: [worker: Worker, code: number, signal: string];

    /** A worker was forked, one tick ago. @since Node 0.7.0 */
    fork: [worker: Worker];

    /** A server of a worker listens. @since Node 0.7.0 */
    listening: [worker: Worker, address: Address];

    /** A worker sent a message, perhaps with a handle. @since Node 2.5.0 */
    message: [worker: Worker, message: any, handle: childProcess.SendHandle];

    /** A worker runs JavaScript. @since Node 0.7.0 */
    online: [worker: Worker];

    /** `setupPrimary()` was called, one tick ago, and made these settings. @since Node 0.7.1 */
    setup: [settings: ClusterSettings];
  }

  /** A worker, as the primary sees it, and as it sees itself. */
  interface Worker extends WorkerMembers {}

  interface WorkerMembers extends nodeCluster.Worker {
    /**
     * Its number: 1 for the first one that this primary forks, and never used again by it. The key in
     * `cluster.workers`.
     * @since Node 0.8.0
     */
    id: number;

    /**
     * The slot that it fills, numbered from 0: the lowest that was free when it was forked, or the one that
     * {@link ForkOptions} named. A worker that replaces another fills the same slot, so what must outlive a worker
     * (its share of the work, the name of its log) can go by it. A slot is free when its worker has ended, or was asked to
     * `disconnect()`. Known in the worker, too; hidden from `Object.keys()` and `console.log()`.
     * @since rust-cluster 0.1.0
     */
    readonly slot?: number;

    /** In the primary, the child process; in the worker, the global `process`. @since Node 0.7.0 */
    process: childProcess.ChildProcess;

    /**
     * Whether the worker ended voluntarily: through `disconnect()`, or `kill()` in the worker itself. The primary
     * can decide by it whether to fork another. `undefined` (against its type, which is Node's) until it ends.
     * @since Node 6.0.0
     */
    exitedAfterDisconnect: boolean;

    /**
     * The name that {@link exitedAfterDisconnect} had before Node 6, and no longer has in Node: reads and
     * writes it.
     * @since rust-cluster 0.1.0
     */
    suicide?: boolean | undefined;

    /** What the worker went through last; always there. @since Node 0.11.2, where it is undocumented */
    state?: WorkerState | undefined;

    /**
     * Sends a message to the other side, perhaps with a handle (a socket or a server), which is the other
     * side's from then on. Messages arrive in the order in which they are sent; what one tick sends travels
     * together.
     *
     * Throws `ERR_INVALID_ARG_TYPE` or `ERR_MISSING_ARGS` for what is no message, `ERR_INVALID_HANDLE_TYPE`
     * for what is no handle, and whatever the serialisation throws. All else goes to the callback or, without
     * one, to 'error': `ERR_IPC_CHANNEL_CLOSED` once disconnected, `EPIPE` if the other process has just
     * ended.
     *
     * @returns false once 128 KiB or more wait to be written: time to slow down
     * @since Node 0.7.0
     */
    send(message: childProcess.Serializable, callback?: SendCallback): boolean;
    send(
      message: childProcess.Serializable,
      sendHandle: childProcess.SendHandle,
      callback?: SendCallback,
    ): boolean;
    send(
      message: childProcess.Serializable,
      sendHandle: childProcess.SendHandle,
      options?: childProcess.MessageOptions,
      callback?: SendCallback,
    ): boolean;

    /**
     * Ends the worker gracefully: it closes its servers, waits until their connections have ended (there is
     * no limit of time), closes the channel, and exits once nothing else keeps it. Called in the primary, it
     * asks the worker to do so, and takes it out of `cluster.workers` at once. A second call does nothing.
     * @since Node 0.7.7
     */
    disconnect(): this;

    /**
     * Ends the worker at once. In the primary: sends it this signal. In the worker: closes the channel and
     * exits with code 0; the signal is not used.
     * @param [signal='SIGTERM'] an unknown one throws `ERR_UNKNOWN_SIGNAL`
     * @since Node 0.9.12
     */
    kill(signal?: string): void;

    /** The older name of {@link kill}. @since Node 0.7.0 */
    destroy(signal?: string): void;

    /** Whether the channel is open: from the fork until 'disconnect'. @since Node 0.11.14 */
    isConnected(): boolean;

    /** Whether the process has ended. @since Node 0.11.14 */
    isDead(): boolean;

    /** Calls `listener` at each event of this name, after the listeners it has. `addListener` is the same. */
    on<E extends keyof WorkerEventMap>(event: E, listener: (...args: WorkerEventMap[E]) => void): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
    /** The same as `on`. */
    addListener<E extends keyof WorkerEventMap>(
      event: E,
      listener: (...args: WorkerEventMap[E]) => void,
    ): this;
    addListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls `listener` at the next event of this name only. */
    once<E extends keyof WorkerEventMap>(event: E, listener: (...args: WorkerEventMap[E]) => void): this;
    once(event: string | symbol, listener: (...args: any[]) => void): this;
    /** As `on`, before the listeners it has. */
    prependListener<E extends keyof WorkerEventMap>(
      event: E,
      listener: (...args: WorkerEventMap[E]) => void,
    ): this;
    prependListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** As `once`, before the listeners it has. */
    prependOnceListener<E extends keyof WorkerEventMap>(
      event: E,
      listener: (...args: WorkerEventMap[E]) => void,
    ): this;
    prependOnceListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls `listener` no more. */
    off(event: string | symbol, listener: (...args: any[]) => void): this;
    /** The same as `off`. */
    removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls the listeners of this event; false if there are none. */
    emit<E extends keyof WorkerEventMap>(event: E, ...args: WorkerEventMap[E]): boolean;
    emit(event: string | symbol, ...args: any[]): boolean;
  }

  /** The cluster object. */
  interface Cluster extends nodeCluster.Cluster {
    /** Whether this process is the primary. @since Node 16.0.0 */
    readonly isPrimary: boolean;

    /** The older name of {@link isPrimary}. @deprecated since Node 16.0.0 @since Node 0.8.1 */
    readonly isMaster: boolean;

    /** Whether this process is a worker. @since Node 0.6.0 */
    readonly isWorker: boolean;

    /** The worker that this process is; `undefined` in the primary. @since Node 0.7.0 */
    readonly worker?: Worker | undefined;

    /**
     * The workers by their number; `undefined` in a worker. One leaves it at `worker.disconnect()`, or before
     * the last of its 'disconnect' and 'exit'.
     * @since Node 0.7.0
     */
    readonly workers?: { [id: string]: Worker | undefined };

    /** The class of all workers. @since Node 0.7.0 */
    Worker: typeof nodeCluster.Worker & { new (options?: WorkerOptions): Worker };

    /**
     * The settings that `setupPrimary()` or the first `fork()` made, a new object each time; `{}` before. Not
     * to be written to. `undefined` in a worker.
     * @since Node 0.7.1
     */
    readonly settings: ClusterSettings;

    /**
     * How connections are spread: {@link SCHED_RR}, or {@link SCHED_NONE}. Can be set until the first
     * `fork()` or `setupPrimary()`, which throw an AssertionError for any other value. `undefined` in a
     * worker.
     *
     * The environment's `NODE_CLUSTER_SCHED_POLICY`, `rr` or `none`, sets it too.
     * @default SCHED_RR
     * @since Node 0.11.2
     */
    schedulingPolicy: number;

    /**
     * 1: all workers share the listening socket, and the kernel tells which accepts a connection. UDP sockets
     * are always shared. `undefined` in a worker.
     * @since Node 0.11.2
     */
    readonly SCHED_NONE: number;

    /**
     * 2: a thread of the primary, which waits for no JavaScript, accepts the connections and gives each to
     * the next worker in turn. `undefined` in a worker.
     * @since Node 0.11.2
     */
    readonly SCHED_RR: number;

    /**
     * Starts a worker, as `setupPrimary()` said. In the primary only. No such `cwd`, too many processes: the
     * worker has an 'error'. No such `exec`: it exits with code 1.
     * @param env added to the worker's environment, which is else the primary's
     * @param options what Node's own cluster does not have
     * @since Node 0.6.0
     */
    fork(env?: any, options?: ForkOptions): Worker;

    /**
     * Says how workers are started from now on; each call changes what it names, and leaves the rest. In the
     * primary only.
     * @since Node 16.0.0
     */
    setupPrimary(settings?: ClusterSettings): void;

    /** The older name of {@link setupPrimary}. @deprecated since Node 16.0.0 @since Node 0.7.1 */
    setupMaster(settings?: ClusterSettings): void;

    /**
     * Calls `disconnect()` of every worker. In the primary only.
     * @param callback called once the channels of all of them are closed (Node's own calls when the first one
     *   is)
     * @since Node 0.7.7
     */
    disconnect(callback?: () => void): void;

    /** Calls `listener` at each event of this name, after the listeners it has. `addListener` is the same. */
    on<E extends keyof ClusterEventMap>(event: E, listener: (...args: ClusterEventMap[E]) => void): this;
    on(event: string | symbol, listener: (...args: any[]) => void): this;
    /** The same as `on`. */
    addListener<E extends keyof ClusterEventMap>(
      event: E,
      listener: (...args: ClusterEventMap[E]) => void,
    ): this;
    addListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls `listener` at the next event of this name only. */
    once<E extends keyof ClusterEventMap>(event: E, listener: (...args: ClusterEventMap[E]) => void): this;
    once(event: string | symbol, listener: (...args: any[]) => void): this;
    /** As `on`, before the listeners it has. */
    prependListener<E extends keyof ClusterEventMap>(
      event: E,
      listener: (...args: ClusterEventMap[E]) => void,
    ): this;
    prependListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** As `once`, before the listeners it has. */
    prependOnceListener<E extends keyof ClusterEventMap>(
      event: E,
      listener: (...args: ClusterEventMap[E]) => void,
    ): this;
    prependOnceListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls `listener` no more. */
    off(event: string | symbol, listener: (...args: any[]) => void): this;
    /** The same as `off`. */
    removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
    /** Calls the listeners of this event; false if there are none. */
    emit<E extends keyof ClusterEventMap>(event: E, ...args: ClusterEventMap[E]): boolean;
    emit(event: string | symbol, ...args: any[]): boolean;
  }
}

export = cluster;
