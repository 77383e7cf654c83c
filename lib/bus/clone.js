'use strict';

// Values to bytes and back, by the structured clone algorithm: what postMessage() of the web can send.
//
// V8's serialiser takes some microseconds to make, so what JSON copies just as well travels as JSON. The first byte tells;
// what is posted is mostly small, and travels as text (src/bus/protocol.rs). A value that belongs to a trace is V8's, and has
// the trace behind it: V8 does not read so far.

const { DefaultDeserializer, DefaultSerializer } = require('node:v8');

const { isJson } = require('../channel/serialization');
const errors = require('../errors');
const { LONGEST_DATA } = require('./protocol');
const trace = require('./trace');

const JSON_TEXT = Buffer.from([1]);
const V8 = Buffer.from([2]);
const TRACED = Buffer.from([3]);

class Serializer extends DefaultSerializer {
  /** V8 calls it, and Node's code calls it with `new`. */
  _getDataCloneError = function DataCloneError(message) {
    return errors.notCloned(message);
  };

  /** Without it V8 throws an error of another name. */
  _getSharedArrayBufferId() {
    throw errors.notCloned('#<SharedArrayBuffer> could not be cloned.');
  }

  _writeHostObject(object) {
    if (ArrayBuffer.isView(object) && isDetached(object))
      throw errors.notCloned('An ArrayBuffer is detached and could not be cloned.');
    super._writeHostObject(object);
  }
}

/** Node 20 has no `detached`. Nobody can make a view of what is. */
function isDetached({ buffer }) {
  if (buffer.byteLength > 0) return false;
  try {
    return !new Uint8Array(buffer);
  } catch {
    return true;
  }
}

/** @returns {string | undefined} JSON, if it makes a copy that nobody can tell from V8's */
const toJson = value => (isJson(value) ? JSON.stringify(value) : undefined);

/**
 * @param {any} value
 * @param {string} [json] what `toJson` makes of it
 * @returns {Buffer}
 * @throws DataCloneError, ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE
 */
function toBytes(value, json = toJson(value)) {
  return checked(json === undefined ? serialized(value) : text(json));
}

/**
 * As `toBytes`, of a value that belongs to a trace.
 * @param {string} traceparent
 */
const toTracedBytes = (value, traceparent) => checked(serialized(value, traceparent));

function checked(bytes) {
  if (bytes.length > LONGEST_DATA) throw errors.busMessageTooLarge(bytes.length, LONGEST_DATA);
  return bytes;
}

function text(json) {
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(json));
  bytes[0] = JSON_TEXT[0];
  bytes.utf8Write(json, 1);
  return bytes;
}

function serialized(value, traceparent) {
  const serializer = new Serializer();
  serializer.writeRawBytes(traceparent ? TRACED : V8);
  serializer.writeHeader();
  serializer.writeValue(value);
  if (traceparent) serializer.writeRawBytes(Buffer.from(traceparent, 'latin1'));
  return serializer.releaseBuffer();
}

/** @param {Buffer} bytes which the value has no part in */
function fromBytes(bytes) {
  if (bytes[0] === JSON_TEXT[0]) return JSON.parse(bytes.utf8Slice(1));
  // Typed arrays are views of what they are read from.
  const deserializer = new DefaultDeserializer(Uint8Array.prototype.slice.call(bytes, 1));
  deserializer.readHeader();
  return deserializer.readValue();
}

/** @returns {string | undefined} the trace that it belongs to */
function traceparentIn(bytes) {
  if (bytes[0] !== TRACED[0]) return undefined;
  const traceparent = bytes.latin1Slice(Math.max(1, bytes.length - trace.LENGTH));
  return trace.isTraceparent(traceparent) ? traceparent : undefined;
}

const STANDARD = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(it => [it.name, it]),
);

/** The bytes of why there is no answer, or of why that cannot be told: somebody waits for it. */
function reasonToBytes(reason) {
  try {
    return reasonAsItIs(reason);
  } catch (error) {
    try {
      return reasonAsItIs(error);
    } catch {
      return reasonAsItIs(errors.notCloned('The reason could not be cloned.'));
    }
  }
}

/** V8's copy of an error has no code, and it cannot copy them all. */
function reasonAsItIs(reason) {
  if (!(reason instanceof Error)) return toBytes({ reason });
  const [name, message, stack, code] = [reason.name, reason.message, reason.stack, reason.code ?? ''].map(
    String,
  );
  return toBytes({ error: { name, message, stack, ofWeb: reason instanceof DOMException, code } });
}

/**
 * The reason again.
 * @param {any} value of its bytes
 * @throws if nobody of ours has written them
 */
function reasonFrom({ error: told, reason }) {
  if (!told) return reason;
  const { name, message, stack, ofWeb, code } = told;
  if (ofWeb) return new DOMException(message, name);
  const error = new (STANDARD.get(name) ?? Error)(message);
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  if (error.name !== name)
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (code) error.code = code;
  return error;
}

module.exports = {
  ...{ toBytes, toTracedBytes, toJson, fromBytes, traceparentIn },
  ...{ reasonToBytes, reasonFrom },
};
