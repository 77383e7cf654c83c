'use strict';

// All that differs, on purpose, from Node's own cluster. docs/differences.md is written from this list
// (`npm run docs`), and the tests take from it where the two clusters may be expected to do different things: a
// behaviour with `has` is one that some test asks for, with what each cluster has of it.

const NODE = Number.parseInt(process.versions.node, 10);

/**
 * @typedef {object} Behaviour
 * @property {string} group the heading under which the page lists it
 * @property {string} when the situation
 * @property {string} node what Node's own cluster does
 * @property {string} ours what rust-cluster does
 * @property {string} why
 * @property {{ rust: any, node: any }} [has] what the cluster under test has of it
 */

const CONNECTIONS = 'Connections';
const MESSAGES = 'Messages and handles';
const LIFE = 'Life of workers';
const LISTENING = 'Listening';
const SURFACE = 'The object, its members and its output';

/** @type {Record<string, Behaviour>} */
module.exports = {
  busyPrimary: {
    group: CONNECTIONS,
    when: 'the primary runs `while (true)`',
    node: 'accepts nothing',
    ours: 'serves on',
    why: 'accepting needs no JavaScript',
  },
  stoppedThenKilled: {
    group: CONNECTIONS,
    when: 'a worker is stopped, then killed, with connections waiting for it',
    node: 'they hang for ever',
    ours: 'others serve them',
    why: 'the primary takes its queue back',
  },
  passesOverStuck: {
    group: CONNECTIONS,
    when: 'a worker takes nothing for 70 to 100 ms',
    node: 'gets connections as before',
    ours: 'gets none until it runs again',
    why: 'the same',
  },
  strictRoundRobin: {
    group: CONNECTIONS,
    when: 'round robin (document 004: requests are spread evenly)',
    node: 'skips a worker that has not answered yet',
    ours: 'even within one connection, as long as all workers take what they are given; one that has taken nothing for 10 ms comes after those that do',
    why: 'nothing has to be answered',
    has: { rust: true, node: false },
  },
  lastWorkerServes: {
    group: CONNECTIONS,
    when: 'the last worker of a port calls `disconnect()`',
    node: 'what waits for it is reset, or hangs',
    ours: 'it serves what clients have connected: its servers close once the primary has given it all',
    why: 'nothing is lost',
  },
  sharesMemory: {
    group: MESSAGES,
    when: 'long strings are sent to a process that does not read',
    node: '`send()` returns false when 128 KiB wait, besides what the socket holds',
    ours: 'up to 4 MiB of them, of strings from 4,096 characters on, wait in shared memory besides; `maxQueuedBytes` counts them',
    why: 'the kernel need not copy them',
    has: { rust: true, node: false },
  },
  unheardErrors: {
    group: MESSAGES,
    when: 'a socket that a worker has sent is reset, and the primary does not listen for its errors',
    node: 'an uncaught exception in the primary',
    ours: 'a warning, `ERR_RUST_CLUSTER_UNHEARD`',
    why: 'a worker does not end the primary',
    has: { rust: true, node: false },
  },
  writesWithoutLoop: {
    group: MESSAGES,
    when: '`process.send()` from a loop that never turns again',
    node: 'each message is a system call',
    ours: 'all are delivered, joined',
    why: 'a thread writes what waits',
    has: { rust: true, node: false },
  },
  deliversLargeQueues: {
    group: MESSAGES,
    when: 'much is sent, and then `disconnect()`, `process.exit()` or an exception follows (bun#33594)',
    node: 'what the kernel did not take at once may be lost',
    ours: 'all of it is delivered first; an exit waits for a process that reads, a second without progress and five in all at most',
    why: 'nothing is lost',
    has: { rust: true, node: false },
  },
  keepsNoMessage: {
    group: MESSAGES,
    when: "a message has been delivered (`serialization: 'advanced'`)",
    node: 'it is kept until the next one comes',
    ours: 'it is not kept',
    why: 'memory follows what is in use',
    has: { rust: true, node: false },
  },
  joinedMessagesOfAKilledProcess: {
    group: MESSAGES,
    when: 'a process that has sent several messages in one turn of its loop is ended by SIGKILL, or by itself with a signal, within 2 ms',
    node: 'they are delivered',
    ours: 'all but the first may be lost',
    why: 'what one joins, one holds for a moment',
  },
  handlesNeedNoAnswer: {
    group: MESSAGES,
    when: 'handles are sent with messages (deno#35968, v0#7466)',
    node: 'one at a time: nothing more is sent until the other process has answered',
    ours: 'no answer is waited for',
    why: 'the descriptor is duplicated when it is sent',
    has: { rust: true, node: false },
  },
  duplicatesAtSend: {
    group: MESSAGES,
    when: 'a handle is closed right after `send()` while others before it wait (deno#34661)',
    node: 'its descriptor is taken when those before it are answered, and may be gone',
    ours: 'it arrives',
    why: 'the same',
    has: { rust: true, node: false },
  },
  sendsUnixServers: {
    group: MESSAGES,
    when: 'a `net.Server` on a Unix path is sent to a worker (bun#31715)',
    node: 'the worker asks the primary for the path, and fails',
    ours: 'the worker has the server',
    why: 'the descriptor that came along is used',
    has: { rust: true, node: false },
  },
  refusesRoundRobinHandles: {
    group: MESSAGES,
    when: "a worker sends its own round-robin server: `process.send('x', server)`",
    node: 'the process ends with SIGSEGV',
    ours: '`ERR_INVALID_HANDLE_TYPE`',
    why: 'such a server has no descriptor',
    has: { rust: true, node: false },
  },
  hostileWorkers: {
    group: MESSAGES,
    when: 'a hostile or broken worker writes what no worker writes',
    node: 'it can crash the primary',
    ours: "it loses its channel, with an 'error' event that says why (a warning, if nobody listens)",
    why: 'every byte from a peer is checked',
  },
  disconnectWaitsForAll: {
    group: LIFE,
    when: '`cluster.disconnect(callback)`',
    node: 'calls back when the first worker has gone',
    ours: 'when all have',
    why: "as Node's documentation says",
    has: { rust: true, node: false },
  },
  disconnectAsksOnce: {
    group: LIFE,
    when: '`worker.disconnect()` twice, or `disconnect()` and then `kill()`, in a worker (node#32793, node#32106)',
    node: 'the second is an uncaught error',
    ours: 'the second does nothing; the exit code is 0',
    why: 'telling a worker once is enough',
    has: { rust: true, node: false },
  },
  answersToTheDead: {
    group: LIFE,
    when: 'a worker ends while the primary answers its `listen()`',
    node: "the primary can die of an `EPIPE`, if nobody listens to that worker's 'error'",
    ours: 'there is no such error',
    why: 'nobody waits for that answer any more',
  },
  rightsOfSharedPaths: {
    group: LISTENING,
    when: '`listen({ path, readableAll })` under `SCHED_NONE`',
    node: 'sets no rights',
    ours: 'sets them',
    why: 'as under round robin',
    has: { rust: true, node: false },
  },
  refusesLongPaths: {
    group: LISTENING,
    when: 'a Unix path of more than about 100 bytes',
    node: 'Node 20 and 22 cut it; later versions say `EINVAL`',
    ours: '`EINVAL`',
    why: 'nobody would find the socket under its name',
    has: { rust: true, node: NODE >= 24 },
  },
  sharedListenAgain: {
    group: LISTENING,
    when: 'a second `listen()` of one worker on one address under `SCHED_NONE` (node#64869)',
    node: 'from Node 22 on, an assertion fails',
    ours: "`EADDRINUSE`, in the server's 'error' event",
    why: 'it can be caught',
    has: { rust: true, node: NODE < 22 },
  },
  unixPaths: {
    group: LISTENING,
    when: "a Unix socket's path",
    node: 'unlinked at close; one that a killed primary left is `EADDRINUSE`',
    ours: "unlinked at close, unless it is another server's by then; one on which nobody listens is bound again",
    why: 'a restart needs no cleaning up',
  },
  descriptorsStay: {
    group: LISTENING,
    when: "`listen({ fd })`, a descriptor of the primary's",
    node: 'is taken over, and closed when the last worker leaves it; one that a thread, the inspector or an addon listens on, and a connection that is not being read, too',
    ours: 'stays open; one that is in use is `EEXIST`',
    why: "a worker that comes later can listen on it again, and a worker's number harms nobody",
    has: { rust: true, node: false },
  },
  abstractNames: {
    group: LISTENING,
    when: "`listen('\\0name')`, an abstract Unix socket",
    node: "is a path of the worker's folder on its way: another name where the primary's is another, and `..` is resolved",
    ours: 'is taken as it is',
    why: 'such a name is in no folder',
    has: { rust: true, node: false },
  },
  offlineWorker: {
    group: LISTENING,
    when: 'a worker listens under `--permission` without `--allow-net` (Node 25 and later)',
    node: 'ends the primary with an uncaught `ERR_ACCESS_DENIED`',
    ours: 'has that error itself, as without a cluster',
    why: 'a worker does not end the primary',
    has: { rust: true, node: false },
  },
  debugLines: {
    group: SURFACE,
    when: '`NODE_DEBUG=cluster` (document 002)',
    node: 'prints nothing',
    ours: "`23521,Master Worker 23524 online` and what became of it; `'cluster*'` tells more",
    why: 'as Node once did',
    has: { rust: true, node: false },
  },
  suicide: {
    group: SURFACE,
    when: '`worker.suicide` (document 004)',
    node: 'gone',
    ours: 'the old name of `exitedAfterDisconnect`',
    why: 'old programs use it',
    has: { rust: true, node: false },
  },
  slot: {
    group: SURFACE,
    when: '`worker.slot`, and `fork(env, { slot })`',
    node: 'not there; the second argument is not looked at',
    ours: 'the place that a worker fills, also when it replaces another; a hidden property',
    why: 'what must outlive a worker goes by it',
    has: { rust: true, node: false },
  },
  namesOfBoth: {
    group: SURFACE,
    when: "`import { fork, worker } from 'rust-cluster'`: names that only a primary or only a worker has",
    node: 'a SyntaxError where there is none of that name',
    ours: '`undefined` there',
    why: 'one file is often the program of both',
    has: {
      rust: [
        'SCHED_NONE',
        'SCHED_RR',
        'disconnect',
        'fork',
        'setupMaster',
        'setupPrimary',
        'worker',
        'workers',
      ],
      node: [],
    },
  },
  ownChannelMembers: {
    group: SURFACE,
    when: 'members of `process.channel`',
    node: '`ref()`, `unref()`, `fd`',
    ours: 'also `hasRef()`',
    why: 'whether it keeps the process alive can be asked',
    has: { rust: ['hasRef'], node: [] },
  },
  ownSockets: {
    group: SURFACE,
    when: "a worker's open descriptors",
    node: 'one socket to the primary',
    ours: 'two: the second is where its connections come (both are closed for its children)',
    why: 'connections do not wait for messages',
    has: { rust: 1, node: 0 },
  },
  internalRoundRobinHandle: {
    group: SURFACE,
    when: "wrapping Node's *internal* `RoundRobinHandle` (`--expose-internals`)",
    node: 'works',
    ours: 'has no effect',
    why: 'connections do not pass through it',
  },
};
