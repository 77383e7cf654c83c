'use strict';

// The hooks of redirect.js for ES modules: a file of its own because Node 20 loads it into another thread.

/** @type {{ here: string, target: string, home: string }} */
let way;

function initialize(data) {
  way = data;
}

function resolve(specifier, context, next) {
  const redirected = /^(node:)?cluster$/.test(specifier) && !context.parentURL?.startsWith(way.home);
  return redirected ? next(way.target, { ...context, parentURL: way.here }) : next(specifier, context);
}

module.exports = { initialize, resolve };
