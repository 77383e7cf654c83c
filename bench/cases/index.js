'use strict';

/**
 * @typedef {object} Figure
 * @property {string} title
 * @property {string} unit
 * @property {'higher' | 'lower'} better
 */

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {string} title
 * @property {string} verified what is checked in every sample, besides being measured
 * @property {string[]} rivals by name
 * @property {number} [seconds] how long a sample's load lasts
 * @property {() => Promise<string | undefined>} [unavailable] why it cannot run here
 * @property {Record<string, Figure>} figures
 * @property {(rival: import('../rivals').Rival, settings: { seconds: number }) =>
 *   Promise<{ figures: Record<string, number>, limit?: string }>} sample one measurement
 */

/** @type {Case[]} */
const cases = [
  require('./connections'),
  require('./keepalive'),
  require('./messages'),
  require('./shapes'),
  require('./crowd'),
  require('./flood'),
  require('./round-trip'),
  require('./fork'),
  require('./memory'),
  require('./spread'),
  require('./busy'),
  require('./syscalls'),
  require('./telemetry'),
];

module.exports = cases;
