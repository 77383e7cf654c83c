'use strict';

// The 'advanced' serialisation: what V8 can clone, with everything else as JSON would show it.

const v8 = require('node:v8');

/** Tags before a host object, the same as Node's: a view of a buffer, or the copy of any other object. */
const VIEW = 0;
const OBJECT = 1;

class Serializer extends v8.DefaultSerializer {
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

class Deserializer extends v8.DefaultDeserializer {
  _readHostObject() {
    return this.readUint32() === VIEW ? super._readHostObject() : this.readValue();
  }
}

/** @returns {Buffer} */
function serialize(message) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
}

/** @param {Buffer} buffer */
function deserialize(buffer) {
  const deserializer = new Deserializer(buffer);
  deserializer.readHeader();
  return deserializer.readValue();
}

module.exports = { serialize, deserialize };
