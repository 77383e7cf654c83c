'use strict';

// Values to bytes and back, by the structured clone algorithm: what postMessage() of the web can send.

const { DefaultDeserializer, DefaultSerializer } = require('node:v8');

const errors = require('../errors');
const { LONGEST_DATA } = require('./protocol');

class Serializer extends DefaultSerializer {
  _getDataCloneError = errors.notCloned;
}

/**
 * @returns {Buffer}
 * @throws DataCloneError, ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE
 */
function toBytes(value) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  const bytes = serializer.releaseBuffer();
  if (bytes.length > LONGEST_DATA) throw errors.messageTooLarge(bytes.length, LONGEST_DATA);
  return bytes;
}

/** @param {Uint8Array} bytes that nobody else uses: typed arrays are views of them */
function fromBytes(bytes) {
  const deserializer = new DefaultDeserializer(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

const STANDARD = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

/** The bytes of why there is no answer. V8's copy of an error has no code, and it cannot copy them all. */
function reasonToBytes(reason) {
  if (!(reason instanceof Error)) {
    try {
      return toBytes({ reason });
    } catch (error) {
      return reasonToBytes(error);
    }
  }
  const { name, message, stack, code } = reason;
  const ofWeb = reason instanceof DOMException;
  return toBytes({
    error: { name: `${name}`, message: `${message}`, stack: `${stack}`, ofWeb, code: `${code ?? ''}` },
  });
}

function reasonFromBytes(bytes) {
  const { error: told, reason } = fromBytes(bytes);
  if (!told) return reason;
  const { name, message, stack, ofWeb, code } = told;
  if (ofWeb) return new DOMException(message, name);
  const error = new (STANDARD[name] ?? Error)(message);
  Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  if (error.name !== name)
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (code) error.code = code;
  return error;
}

module.exports = { toBytes, fromBytes, reasonToBytes, reasonFromBytes };
