'use strict';

// V8's serialisation, with everything that it cannot clone as JSON would show it: the copies of 'advanced'.
//
// A V8 serialiser costs some microseconds to make, JSON of a small message a tenth of that. So a message of which
// both make equal copies travels as JSON if it is small, or if it is large by long strings (./long_strings).

const { types } = require('node:util');
const { DefaultDeserializer, DefaultSerializer } = require('node:v8');

/** Tags before a host object, the same as Node's: a view of a buffer, or the copy of any other object. */
const VIEW = 0;
const OBJECT = 1;

class Serializer extends DefaultSerializer {
  _writeHostObject(object) {
    if (ArrayBuffer.isView(object)) {
      this.writeUint32(VIEW);
      super._writeHostObject(object);
    } else {
      this.writeUint32(OBJECT);
      this.writeValue({ ...object });
    }
  }
}

class Deserializer extends DefaultDeserializer {
  _readHostObject() {
    if (this.readUint32() !== VIEW) return this.readValue();
    // The bytes we read from are used again.
    const view = super._readHostObject();
    // Most are small, and have room in Node's pool: an ArrayBuffer of their own costs more than all else.
    if (Buffer.isBuffer(view)) return Buffer.from(view);
    const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    return new view.constructor(bytes);
  }
}

/** @returns {Buffer} */
function serialize(message) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
}

/** @param {Buffer} buffer which the copy has no part in */
function deserialize(buffer) {
  const deserializer = new Deserializer(buffer);
  deserializer.readHeader();
  return deserializer.readValue();
}

/** The most objects and values that are looked at: a larger message repays its serialiser. */
const FEW_OBJECTS = 8;
const FEW_VALUES = 64;

/**
 * Whether JSON makes a copy of a message that nobody can tell from V8's.
 * @returns {boolean} false also for what is too large to find out cheaply
 */
function isJson(message) {
  if (typeof message !== 'object' || message === null) return isJsonValue(message);
  // Breadth first. An object that is met twice is one object in V8's copy, and two in JSON's.
  const objects = [message];
  let values = 0;
  for (let i = 0; i < objects.length; i++) {
    const object = objects[i];
    const isArray = Array.isArray(object);
    if (types.isProxy(object) || object.toJSON !== undefined) return false;
    // The arguments of a function, which V8 does not clone, look like any object else.
    if (!isArray && object[Symbol.iterator] !== undefined) return false;
    if (Object.getPrototypeOf(object) !== (isArray ? Array.prototype : Object.prototype)) return false;
    const keys = Object.keys(object);
    values += keys.length;
    if (values > FEW_VALUES || (isArray && !isOfElements(object, keys))) return false;
    for (const key of keys) {
      const value = object[key];
      if (typeof value !== 'object' || value === null) {
        if (!isJsonValue(value)) return false;
      } else {
        if (objects.length === FEW_OBJECTS || objects.includes(value)) return false;
        objects.push(value);
      }
    }
  }
  return true;
}

/** Whether an array has no holes, and no properties besides its elements: those come first, by their numbers. */
const isOfElements = ({ length }, keys) =>
  keys.length === length && (length === 0 || keys[length - 1] === `${length - 1}`);

function isJsonValue(value) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    default:
      return value === null;
  }
}

module.exports = { isJson, serialize, deserialize };
