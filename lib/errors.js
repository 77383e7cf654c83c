'use strict';

// All errors and warnings of the package: Node's, with Node's codes, classes and words, since programs compare
// them, and our own (ERR_RUST_CLUSTER_*), each with an entry in docs/errors.md.

const { getSystemErrorMap, inspect } = require('node:util');

/**
 * @param {ErrorConstructor} Base
 * @param {string} code
 * @param {string} message
 */
function nodeError(Base, code, message) {
  const error = new Base(message);
  // The stack is made once, with the code in it, as Node's own errors have it.
  const { name } = error;
  error.name = `${name} [${code}]`;
  void error.stack;
  delete error.name;
  error.code = code;
  return error;
}

/** For `process.emitWarning`. */
function warning(code, message) {
  return Object.assign(new Error(message), { name: 'Warning', code });
}

/** How Node's messages name what they received. */
function received(value) {
  if (value == null) return `${value}`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    return value.constructor?.name
      ? `an instance of ${value.constructor.name}`
      : inspect(value, { depth: -1 });
  }
  let text = inspect(value, { colors: false });
  if (text.length > 28) text = `${text.slice(0, 25)}...`;
  return `type ${typeof value} (${text})`;
}

const invalidValue = (property, expected, value) =>
  nodeError(
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    `The property '${property}' must be ${expected}. Received ${inspect(value)}`,
  );

const invalidArgType = (name, expected, value) =>
  nodeError(
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    `The "${name}" argument must be ${expected}. Received ${received(value)}`,
  );

module.exports = {
  channelClosed: () => nodeError(Error, 'ERR_IPC_CHANNEL_CLOSED', 'Channel closed'),
  disconnected: () => nodeError(Error, 'ERR_IPC_DISCONNECTED', 'IPC channel is already disconnected'),
  childClosedBeforeReply: () =>
    nodeError(Error, 'ERR_CHILD_CLOSED_BEFORE_REPLY', 'Child closed before reply received'),
  invalidHandleType: () => nodeError(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent'),
  missingMessage: () => nodeError(TypeError, 'ERR_MISSING_ARGS', 'The "message" argument must be specified'),
  invalidMessage: value => invalidArgType('message', 'one of type string, object, number, or boolean', value),
  badSource: value => invalidArgType('source', 'a function, or an object with a function metrics', value),
  invalidOptions: value => invalidArgType('options', 'of type object', value),
  badPort: value =>
    nodeError(
      RangeError,
      'ERR_SOCKET_BAD_PORT',
      `Port should be >= 0 and < 65536. Received ${received(value)}.`,
    ),
  badSetting: (name, expected, value) => invalidValue(`settings.${name}`, expected, value),
  badSlot: (last, value) => invalidValue('options.slot', `an integer from 0 to ${last}`, value),
  unknownSignal: value => nodeError(TypeError, 'ERR_UNKNOWN_SIGNAL', `Unknown signal: ${inspect(value)}`),
  messageTooLarge: (size, limit) =>
    nodeError(
      RangeError,
      'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE',
      `A message of ${size} bytes is too large to be sent; the limit is ${limit}: the setting maxMessageSize for ` +
        "messages of workers, else the length of V8's longest string. Send it in pieces, or as a file, or raise " +
        'maxMessageSize.',
    ),
  busMessageTooLarge: (size, limit) =>
    nodeError(
      RangeError,
      'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE',
      `A value of ${size} bytes is too large for rust-cluster/bus; the limit is ${limit}. Share it in pieces, or as a file`,
    ),
  badSchedulingPolicy: value =>
    nodeError(Error, 'ERR_INTERNAL_ASSERTION', `Bad cluster.schedulingPolicy: ${inspect(value)}`),
  /** As the permission model of Node >= 25 has it; what earlier ones refuse, Node itself does. */
  accessDenied: (permission, flag, resource) => {
    const message = `Access to this API has been restricted. Use ${flag} to manage permissions.`;
    return Object.assign(new Error(message), { code: 'ERR_ACCESS_DENIED', permission, resource });
  },
  /** A failed system call, as Node reports it: `write EPIPE`. */
  system(syscall, code) {
    const { constants } = require('node:os');
    return Object.assign(new Error(`${syscall} ${code}`), { errno: -constants.errno[code], code, syscall });
  },

  /** A listen() that failed, as Node reports it: `listen EADDRINUSE: address already in use 127.0.0.1:80`. */
  listen(errno, address, port) {
    const [code, text] = getSystemErrorMap().get(errno) ?? [`${errno}`, 'unknown error'];
    const where = port > 0 ? `${address}:${port}` : address;
    const error = new Error(`listen ${code}: ${text}${where ? ` ${where}` : ''}`);
    return Object.assign(error, { errno, code, syscall: 'listen', address, ...(port && { port }) });
  },

  /** What makes a message of the other process unreadable; see `brokenWorker` for what a user gets. */
  badMessage: cause =>
    Object.assign(new Error(`a message that cannot be read arrived (${cause.message})`), {
      code: 'ERR_RUST_CLUSTER_BAD_MESSAGE',
    }),
  brokenWorker({ id, process: { pid } }, { code, message }) {
    const does =
      code === 'ERR_RUST_CLUSTER_QUEUE_FULL'
        ? 'does not read its messages'
        : 'broke the protocol between workers and the primary';
    const todo =
      code === 'ERR_RUST_CLUSTER_QUEUE_FULL'
        ? 'Look in that worker for code that blocks its event loop, send it less, or raise maxQueuedBytes.'
        : 'Look in that worker for code that writes to, or closes, descriptors that it did not open.';
    return nodeError(
      Error,
      code,
      `Worker ${id} (pid ${pid}) ${does}: ${message}. Its channel was closed, and it gets no more connections; ` +
        `the other workers go on. ${todo}`,
    );
  },
  unheard: ({ pid }, { message }) =>
    warning(
      'ERR_RUST_CLUSTER_UNHEARD',
      `A socket or server that a worker (pid ${pid}) has sent failed with an error (${message}), and nothing listens ` +
        "for its 'error' event. Nothing else happened; further errors of this worker's handles are not reported. " +
        'Listen for that event, or close the handles that you do not need.',
    ),
  threadWithoutFile: file =>
    warning(
      'ERR_RUST_CLUSTER_NO_THREAD',
      `A thread of this worker could not start: Node runs ${file} first in each of them, and that file was removed, or ` +
        'may not be read any more. Replace this worker by a new one, or give the thread an environment of its own, ' +
        'for which Node does not run the file: new Worker(file, { env: { ...process.env } }).',
    ),
  noTelemetry: (address, { code, message }) =>
    warning(
      'ERR_RUST_CLUSTER_NO_TELEMETRY',
      `There are no metrics and no health checks at ${address} (${message ?? code}). The cluster serves without them, and ` +
        'tries again every 5 seconds. Find who listens there, or choose another address: telemetry of setupPrimary(), --metrics.',
    ),
  noPage: (folder, { code, message }) =>
    warning(
      'ERR_RUST_CLUSTER_NO_PAGE',
      `The live view is not served: its files cannot be read from ${folder} (${code ?? message}). Metrics and health checks ` +
        'are. In a bundle, copy the folder lib/telemetry/page of the package to where this says.',
    ),
  noMetrics: reason =>
    warning(
      'ERR_RUST_CLUSTER_NO_METRICS',
      `The metrics of this worker could not be collected (${reason}). Those of before stand, and it is tried ` +
        'again whenever somebody asks. Find which source it is: collect() of rust-cluster/telemetry, or prom-client.',
    ),
  metricsLeftOut: ({ worker, count, reason }) =>
    warning(
      'ERR_RUST_CLUSTER_METRICS_LEFT_OUT',
      `Metrics that worker ${worker} has counted are left out of /metrics (${count ? `${count} of them: ` : 'all of this time: '}${reason}). ` +
        'What was there before stands, and counts on; others do not notice. It is not said again of the workers of this ' +
        'slot. Find labels that take ever new values in what the program counts: the limits are in docs/metrics.md.',
    ),
  tooLate: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_TOO_LATE',
      "rust-cluster was loaded after Node's own cluster had forked workers, which it cannot take over. " +
        "Load it first: node -r rust-cluster/register, or require('rust-cluster') before the first fork().",
    ),
  unsent(target, code) {
    const receiver = target === process ? 'the primary' : `the worker with pid ${target.pid}`;
    return warning(
      'ERR_RUST_CLUSTER_UNSENT',
      `The system refuses the messages for ${receiver} (${code}). They wait, and are sent as soon as it accepts ` +
        'them. ETOOMANYREFS means that more sockets and servers are on their way between processes of this user than ' +
        'one process may have open (ulimit -n): look for a process that does not read its messages.',
    );
  },
  unsupported: where =>
    warning(
      'ERR_RUST_CLUSTER_UNSUPPORTED',
      `rust-cluster was loaded on ${where}, for which it has no native engine yet: the built-in cluster module is used ` +
        'instead. You need not do anything; on Linux, Node would use rust-cluster.',
    ),
  lostConnection: () =>
    warning(
      'ERR_RUST_CLUSTER_LOST_CONNECTION',
      'A connection that the primary had given to this worker was closed: no descriptor was left for it at the moment ' +
        'in which the primary took others back. Raise the limit (ulimit -n), or find what keeps descriptors open.',
    ),
  brokenIntake: ({ code, message }) =>
    Object.assign(
      nodeError(
        Error,
        'ERR_RUST_CLUSTER_BROKEN_INTAKE',
        `This worker can take no more connections from the primary: ${message}. Look in it for code that reads from, ` +
          'or closes, descriptors that it did not open.',
      ),
      { cause: { code, message } },
    ),
  starved: reason =>
    warning(
      'ERR_RUST_CLUSTER_STARVED',
      `No descriptor is left to accept connections with (${reason}). They wait, and are served when one is free. ` +
        'Raise the limit (ulimit -n), or find what keeps descriptors open.',
    ),

  // What the supervisor and its command say.
  unknownOption: (name, where, nearest) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_UNKNOWN_OPTION',
      `There is no option ${name} (${where}). ${nearest ? `Did you mean ${nearest}?` : 'rust-cluster --help has all of them.'}`,
    ),
  badOption: (where, expected, value) =>
    nodeError(
      TypeError,
      'ERR_RUST_CLUSTER_BAD_OPTION',
      `${where} must be ${expected}. Received ${inspect(value, { depth: 1, breakLength: Infinity })}`,
    ),
  badConfiguration: (file, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BAD_CONFIGURATION',
      `The configuration ${file} cannot be used: ${why}`,
    ),
  badProgram: (program, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BAD_PROGRAM',
      program === undefined
        ? 'No program was named. Name one: rust-cluster app.js'
        : `The program ${program} cannot be run: ${why}`,
    ),
  nameTaken: (name, socket) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NAME_TAKEN',
      `A supervisor of the name ${name} runs already (${socket}). Give this one another: --name OTHER`,
    ),
  notRunning: (name, others) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NOT_RUNNING',
      `No supervisor of the name ${name} runs for this user. ` +
        (others.length > 0 ? `Those that run: ${others.join(', ')}` : 'None runs at all.'),
    ),
  noControl: (folder, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_CONTROL',
      `No control socket in ${folder}: ${why}. Mend that, or go without it: --no-control`,
    ),
  badRequest: why =>
    nodeError(Error, 'ERR_RUST_CLUSTER_BAD_REQUEST', `A control socket was sent what is no command: ${why}`),
  otherUser: (side, uid) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_OTHER_USER',
      `The ${side} of this control socket is user ${uid}, and only the user who started the supervisor, or root, may use it.`,
    ),
  controlLost: (command, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_CONTROL_LOST',
      `The supervisor has ended the conversation before ${command} was done (${why}). Look at what it has printed.`,
    ),
  noStatus: (where, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_STATUS',
      `No cluster says at ${where} how it is: ${why}. Is it there that one runs that was started with --metrics?`,
    ),
  /** As the supervisor has told of it to a client. */
  ofSupervisor: ({ code, message, ...rest }) => Object.assign(nodeError(Error, code, message), rest),
  badListenFds: ({ code }) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BAD_LISTEN_FDS',
      `The variables LISTEN_FDS and LISTEN_FDNAMES say of sockets what is not so (${code}). A service manager sets them, ` +
        'and hands the sockets over: start the program without a script in between that closes descriptors, or unset ' +
        'the variables.',
    ),
  unannounced: (file, { code, message }) =>
    warning(
      'ERR_RUST_CLUSTER_UNANNOUNCED',
      `rust-cluster top does not find the metrics of this supervisor by its name: ${file} cannot be written ` +
        `(${code ?? message}). The supervisor goes on. Find them by their address: rust-cluster top --metrics ADDRESS.`,
    ),
  unwatched: (folder, { code }) =>
    warning(
      'ERR_RUST_CLUSTER_UNWATCHED',
      `Changes in ${folder} are not seen (${code}), and perhaps not in other folders: raise the limits of the system ` +
        '(fs.inotify.max_user_watches, fs.inotify.max_user_instances), or watch fewer folders.',
    ),
  unnotified: (socket, { code }) =>
    warning(
      'ERR_RUST_CLUSTER_UNNOTIFIED',
      `The service manager does not hear us (${code}) at ${socket}, which NOTIFY_SOCKET names. The workers go on ` +
        'serving; a service manager that waits for word will end them: unset NOTIFY_SOCKET if there is none.',
    ),

  // What the supervisor says.
  reloadFailed: (slot, why) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_RELOAD_FAILED',
      `The workers were not replaced: ${slot === undefined ? why : `the new one in slot ${slot} ${why}`}. Those that were ` +
        'not replaced yet serve on.',
    ),
  scaleFailed: why =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_SCALE_FAILED',
      `There are not as many workers as were asked for: ${why}.`,
    ),
  notSupervising: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NOT_SUPERVISING',
      'This supervisor has not begun yet, or has ended. Wait for a report of it, or call supervise() again.',
    ),
  underNpm: () =>
    warning(
      'ERR_RUST_CLUSTER_UNDER_NPM',
      'npm or npx stands between this command and whoever stops it, and may lose signals. In production start it ' +
        'by its own name: node_modules/.bin/rust-cluster, or node node_modules/rust-cluster/bin/rust-cluster.js.',
    ),
  noSupervisor: where =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_SUPERVISOR',
      `The supervisor needs Node on Linux, and this is ${where}.`,
    ),

  // The bus. Those of the web are its exceptions.
  channelIsClosed: () => new DOMException('BroadcastChannel is closed.', 'InvalidStateError'),
  notSupported: message => new DOMException(message, 'NotSupportedError'),
  notCloned: message => new DOMException(message, 'DataCloneError'),
  lockStolen: () => new DOMException('The lock was stolen.', 'AbortError'),
  workerLeaves: () => new DOMException('The worker leaves.', 'AbortError'),
  missingName: () => nodeError(TypeError, 'ERR_MISSING_ARGS', 'The "name" argument must be specified'),
  badBusName: (what, value) => invalidArgType(what === 'key' ? 'key' : 'name', 'of type string', value),
  longBusName: (what, value, limit) =>
    nodeError(
      RangeError,
      'ERR_INVALID_ARG_VALUE',
      `The name of a ${what} has at most ${limit} bytes. Received ${Buffer.byteLength(value)}: ` +
        'put what tells them apart into the message, or hash it',
    ),
  badAnswer: value => invalidArgType('answer', 'of type function, or null', value),
  badLeader: value => invalidArgType('lead', 'of type function', value),
  badLockCallback: value => invalidArgType('callback', 'of type function', value),
  badLockMode: value => invalidValue('options.mode', "'exclusive' or 'shared'", value),
  badTarget: value => invalidValue('options.to', "'any', 'all', 'primary' or the number of a slot", value),
  badLifetime: value =>
    nodeError(
      RangeError,
      'ERR_INVALID_ARG_VALUE',
      `The property 'options.ttl' must be an integer of milliseconds from 0 (for ever). Received ${inspect(value)}`,
    ),
  badIncrement: value => invalidValue('options.by', 'an integer', value),
  noBus: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_BUS',
      'rust-cluster/bus was asked for in a worker thread, or in a worker of another cluster, which are no members of it. ' +
        "Use it in the process's main thread, in a worker that rust-cluster has forked",
    ),
  busNotJoined: why =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_BUS',
      `This worker was to join the bus, and the primary could not let it in: ${why}`,
    ),
  otherBus: (theirs, ours) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_BUS',
      `its rust-cluster/bus speaks protocol ${theirs}, the primary's ${ours}: the package was replaced under the ` +
        'primary. Start the primary anew',
    ),
  joinedTooOften: most => new Error(`it has joined ${most} times already`),
  noBusHere: where =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_NO_BUS',
      `rust-cluster/bus needs Node on Linux, and this is ${where}: Node's own cluster serves here, and has no bus`,
    ),
  busIsFull: (queued, limit) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_QUEUE_FULL',
      `${queued} bytes wait for the primary's bus, which reads none; the limit is ${limit}: the primary is stopped`,
    ),
  busGone: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BUS_GONE',
      'The bus is gone: the primary has ended, or this process has asked for 64 MiB and not read them',
    ),
  busRefused: why =>
    nodeError(Error, 'ERR_RUST_CLUSTER_BUS_REFUSED', REFUSALS[why] ?? `The bus has refused: ${why}`),
  bridgeElsewhere: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BRIDGE_PRIMARY',
      'bridge() was called in a worker, or in a thread. One process of a machine is connected to the broker, the primary: ' +
        'call it there, and the channels of all its workers reach other machines',
    ),
  badTransport: (name, value) => invalidArgType(`transport.${name}`, 'of type function', value),
  badTransportObject: value =>
    invalidArgType('transport', 'an EventEmitter with the functions of a transport', value),
  badBridgeOption: (name, expected, value) => invalidValue(`options.${name}`, expected, value),
  bridgeFailed: (what, cause) =>
    Object.assign(nodeError(Error, 'ERR_RUST_CLUSTER_BRIDGE_BROKER', `${what}: ${cause?.message ?? cause}`), {
      cause,
    }),
  bridgeRefused: cause =>
    Object.assign(
      nodeError(
        Error,
        'ERR_RUST_CLUSTER_BRIDGE_REFUSED',
        `The broker refuses this client: ${cause.message}. Look at its user, password and permissions: it has to publish to ` +
          'and subscribe to what begins with the prefix of the bridge',
      ),
      { cause },
    ),
  /** The older package has words for it, the newer one errors. */
  ofNats: cause => (cause instanceof Error ? cause : new Error(`${cause}`)),
  natsGaveUp: cause =>
    Object.assign(new Error('it has ended for good: connect with maxReconnectAttempts: -1'), { cause }),
  bridgeGarbage: prefix =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BRIDGE_GARBAGE',
      `Something arrived from the broker below ${inspect(prefix)} that no bridge has written, and was dropped. Give each ` +
        'application a prefix of its own',
    ),
  bridgeVersion: (machine, what, theirs, ours) =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BRIDGE_VERSION',
      `${machine ? `Machine ${inspect(machine)}` : 'Another machine'} writes version ${theirs} of ${what}, and this one reads ` +
        `${ours}: what it says was dropped. Run the same releases on all machines`,
    ),
  bridgeFull: limit =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_BRIDGE_FULL',
      `Messages were not told to other machines: more than ${limit} bytes wait for the broker, or the primary's JavaScript ` +
        'did not turn for too long. The others get a gap',
    ),
  bridgeTooLarge: (size, limit) =>
    nodeError(
      RangeError,
      'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE',
      `A message of ${size} bytes was not told to other machines: the broker's limit is ${limit}. Share it in pieces, or ` +
        'raise what the broker takes',
    ),
  unanswered: (how, topic, from) =>
    nodeError(Error, ...UNANSWERED[how](topic, from === 'primary' ? 'the primary' : `slot ${from}`)),
};

const REFUSALS = {
  'too many':
    'This process has 16,384 channels, requests or locks that are open or waited for: close some, or wait for answers',
  'names too long':
    "The names of this process's channels, of those that it answers on, or of its locks, have more than 1 MiB together: " +
    'close some, or hash what the names tell apart',
  'no counter':
    'increment() was called for a key under which set() keeps what is no integer: use another key, or delete it first',
  overflow: 'A counter was to grow beyond 64 bits: it is as it was',
  'too large': 'A value was to be kept that is larger than all that the store may keep: it was not',
};

const UNANSWERED = {
  nobody: topic => [
    'ERR_RUST_CLUSTER_BUS_NOBODY',
    `A request was made on ${inspect(topic)}, and nobody answers there: call answer() in another process first`,
  ],
  gone: (topic, from) => [
    'ERR_RUST_CLUSTER_BUS_GONE',
    `${from}, who was to answer on ${inspect(topic)}, has ended`,
  ],
  full: (topic, from) => [
    'ERR_RUST_CLUSTER_BUS_FULL',
    `${from}, who was to answer on ${inspect(topic)}, does not read: 16 MiB wait for it`,
  ],
};
