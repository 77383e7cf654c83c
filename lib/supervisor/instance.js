'use strict';

// Which instance of a service a worker is, for OpenTelemetry.

const { hostname } = require('node:os');

const GIVEN = /(?:^|,)\s*service\.instance\.id\s*=/;

/**
 * The attributes of a worker's resource, where OpenTelemetry is configured by variables and nobody has said which instance
 * this is. It is the slot's: a worker that replaces another goes on as the same.
 * @param {Record<string, string | undefined>} env of the worker
 * @param {string} name the supervisor's
 * @param {number} slot
 * @returns {{ OTEL_RESOURCE_ATTRIBUTES?: string }} what is to be added to its environment
 */
function instanceOf(env, name, slot) {
  const { OTEL_RESOURCE_ATTRIBUTES: given = '' } = env;
  if (GIVEN.test(given) || !Object.keys(env).some(variable => variable.startsWith('OTEL_'))) return {};
  const id = [hostname(), name, slot].map(encodeURIComponent).join('.');
  return { OTEL_RESOURCE_ATTRIBUTES: [given, `service.instance.id=${id}`].filter(Boolean).join(',') };
}

module.exports = { instanceOf };
