'use strict';

const behaviours = require('./behaviours');
const way = require('./way');

/**
 * For each behaviour that the two clusters do not share and that a test asks for, what the cluster under test has
 * of it.
 *
 * @type {Record<keyof typeof behaviours, any>}
 */
module.exports = Object.fromEntries(
  Object.entries(behaviours)
    .filter(([, { has }]) => has)
    .map(([name, { has }]) => [name, has[way]]),
);
