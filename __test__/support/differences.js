'use strict';

const way = require('./way');

const BEHAVIOURS = {
  // Document 002: NODE_DEBUG=cluster prints `PID,Master Worker PID online` for every worker.
  debugLines: { rust: true, node: false },
  // Document 004: worker.suicide is the old name of worker.exitedAfterDisconnect.
  suicide: { rust: true, node: false },
  // Document 004: requests are spread evenly. Node's own skips a worker whose last answer is still under way.
  strictRoundRobin: { rust: true, node: false },
  // Document 004: cluster.disconnect([callback]). Node's own calls back when the first worker has gone.
  disconnectWaitsForAll: { rust: true, node: false },
  // node#32793, node#32106: worker.disconnect() twice. In a worker of Node's own the second throws.
  disconnectAsksOnce: { rust: true, node: false },
  // server.listen({ path, readableAll }) under SCHED_NONE: Node's own sets no rights.
  rightsOfSharedPaths: { rust: true, node: false },
  // deno#34661: a handle is duplicated at send(). Node's own takes it when those before it are answered.
  duplicatesAtSend: { rust: true, node: false },
  // deno#35968, v0#7466: a handle needs no answer. Node's own sends nothing more until it is answered.
  handlesNeedNoAnswer: { rust: true, node: false },
  // bun#31715: a net.Server on a Unix path that was sent. Node's own worker asks the primary for it and fails.
  sendsUnixServers: { rust: true, node: false },
  // process.send('x', server) of a worker's round-robin server: Node's own ends with SIGSEGV.
  refusesRoundRobinHandles: { rust: true, node: false },
  // A path of more than about 100 bytes: EINVAL. The libuv of Node 20 and 22 cuts it.
  refusesLongPaths: { rust: true, node: Number.parseInt(process.versions.node, 10) >= 24 },
  // node#64869: under SCHED_NONE, a second listen() on one address fails an assertion in Node >= 22.
  sharedListenAgain: { rust: true, node: Number.parseInt(process.versions.node, 10) < 22 },
  // bun#33594: what was sent is delivered before a disconnect(), however much it is.
  deliversLargeQueues: { rust: true, node: false },
  // What was sent is written although the sender's loop is blocked.
  writesWithoutLoop: { rust: true, node: false },
  // A worker has one more socket, on which its connections come (closed for its children).
  ownSockets: { rust: 1, node: 0 },
  // Members of process.channel that Node's has not.
  ownChannelMembers: { rust: ['hasRef'], node: [] },
  // import { fork, worker } from 'rust-cluster': what only a primary or only a worker has. A SyntaxError in Node.
  namesOfBoth: {
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
};

/**
 * What the documents promise and Node's own cluster does otherwise: for each such behaviour, whether the
 * cluster under test has it.
 *
 * @type {Record<keyof typeof BEHAVIOURS, any>}
 */
module.exports = Object.fromEntries(Object.entries(BEHAVIOURS).map(([name, has]) => [name, has[way]]));
