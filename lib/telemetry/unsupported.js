'use strict';

// Where Node's own cluster serves it takes the setting `telemetry` for none of its own, and nobody answers: that is said.

const errors = require('../errors');
const { telemetrySetting, textOf } = require('./setting');

/**
 * @param {import('node:cluster').Cluster} cluster Node's own, which stays it
 * @param {string} runtime
 */
module.exports = function warnOfTelemetry(cluster, runtime) {
  const { setupPrimary } = cluster;
  if (!setupPrimary) return;
  cluster.setupPrimary = function (options) {
    if (options?.telemetry !== undefined) {
      const where = textOf(telemetrySetting(options.telemetry));
      process.emitWarning(errors.noTelemetry(where, { message: `it is not supported on ${runtime}` }));
    }
    return setupPrimary.call(this, options);
  };
  cluster.setupMaster = cluster.setupPrimary;
};
