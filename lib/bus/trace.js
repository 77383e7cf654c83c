'use strict';

// The trace that a message belongs to: a `traceparent` as W3C's Trace Context has it, given by the program; or that of
// OpenTelemetry's active context, where the program has set that up. Nothing of it is loaded here.

/** Version ff is none, and neither are ids of zeros. What a later version appends is not carried. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;

/** Bytes of one. */
const LENGTH = 55;

/** Where all copies of OpenTelemetry's API of version 1 have what is registered with them. */
const API = Symbol.for('opentelemetry.js.api.1');

const SETTER = {
  set(carrier, key, value) {
    carrier[key] = value;
  },
};

const isTraceparent = value => typeof value === 'string' && TRACEPARENT.test(value);

/** @returns {string | undefined} the trace of what runs now */
function active({ context, propagation }) {
  if (!context || !propagation) return undefined;
  const carrier = {};
  propagation.inject(context.active(), carrier, SETTER);
  return isTraceparent(carrier.traceparent) ? carrier.traceparent : undefined;
}

/**
 * @param {{ traceparent?: string | null }} [options] what is none is as none: it may come from a client
 * @returns {string | undefined} the trace of what is posted with these options
 */
function traceOf(options) {
  const given = options?.traceparent;
  if (given !== undefined) return isTraceparent(given) ? given : undefined;
  const api = globalThis[API];
  return api ? active(api) : undefined;
}

module.exports = { LENGTH, isTraceparent, traceOf };
