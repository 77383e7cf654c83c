'use strict';

// Long strings travel beside a message's JSON (src/messages/parts.rs): JSON looks at each of their characters, when it is
// written and when it is read. What arrives is what JSON would have made of the message.

const { types } = require('node:util');

const errors = require('../errors');

/** From how many UTF-16 units on a string is long. */
const LONG = 1024;

/** The most values that are looked at: a message of more is mostly structure, which is JSON's to write. */
const FEW_VALUES = 64;

/**
 * Takes the long strings out of a message.
 * @returns {string[] | undefined} its JSON, and the strings; undefined where none was found
 */
function takeOut(message) {
  const parts = [''];
  const paths = [];
  let looks = 0;

  /** The value, or a copy of it that lacks the long strings. */
  function without(value) {
    if (typeof value === 'string' && value.length >= LONG) {
      parts.push(value);
      paths.push([]);
      return 0;
    }
    if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
    let copy = value;
    const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
    for (const key of keys) {
      if (++looks > FEW_VALUES) break;
      const found = paths.length;
      const rest = without(value[key]);
      if (paths.length === found) continue;
      for (const path of paths.slice(found)) path.unshift(key);
      if (copy === value) copy = Array.isArray(value) ? [...value] : { ...value };
      copy[key] = rest;
    }
    return copy;
  }

  const rest = without(message);
  if (paths.length === 0) return undefined;
  parts[0] = JSON.stringify([rest, paths]);
  return parts;
}

/** Whether JSON writes an object as the list of its own properties. */
function isPlain(object) {
  if (types.isProxy(object) || object.toJSON !== undefined) return false;
  return Array.isArray(object) || Object.getPrototypeOf(object) === Object.prototype;
}

/**
 * Puts the strings back into messages.
 * @param {string[]} parts the JSON of all of them, and their strings, in a row
 * @returns {any[]}
 * @throws when the other process did not take them out of there
 */
function putBack(parts) {
  let next = 1;
  return JSON.parse(parts[0]).map(([rest, paths]) => {
    const top = [rest];
    for (const path of paths) {
      let object = top;
      let place = 0;
      for (const key of path) {
        object = object[place];
        // Never into a prototype.
        if (!Object.hasOwn(object, key)) throw errors.badMessage(new Error(`no place for a string: ${path}`));
        place = key;
      }
      object[place] = parts[next++];
    }
    return top[0];
  });
}

module.exports = { takeOut, putBack };
