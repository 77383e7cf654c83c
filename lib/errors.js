'use strict';

// Errors with Node's codes, classes and words: programs compare them.

const { inspect } = require('node:util');

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
  invalidOptions: value => invalidArgType('options', 'of type object', value),
  badPort: value =>
    nodeError(
      RangeError,
      'ERR_SOCKET_BAD_PORT',
      `Port should be >= 0 and < 65536. Received ${received(value)}.`,
    ),
  badSchedulingPolicy: value =>
    nodeError(Error, 'ERR_INTERNAL_ASSERTION', `Bad cluster.schedulingPolicy: ${inspect(value)}`),
  badMessage: cause =>
    Object.assign(
      nodeError(
        Error,
        'ERR_RUST_CLUSTER_BAD_MESSAGE',
        `A message of the other process cannot be read (${cause.message}): its channel was closed`,
      ),
      { cause },
    ),
  tooLate: () =>
    nodeError(
      Error,
      'ERR_RUST_CLUSTER_TOO_LATE',
      "rust-cluster was loaded after Node's own cluster had forked workers, which it cannot take over. " +
        "Load it first: node -r rust-cluster/register, or require('rust-cluster') before the first fork().",
    ),
};
