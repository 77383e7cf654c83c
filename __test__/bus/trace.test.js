'use strict';

// The trace that a message belongs to, within a machine. Across machines: ./bridge.test.js.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { runCase } = require('../support/run-case');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has no bus";

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

const run = (name, exits) => runCase('bus/programs/trace.js', name, { exits });

test('a message has the trace that it was posted with; what is none is left out', { skip }, async () => {
  const { here, there } = await run('given', [0]);
  assert.deepEqual(here.slice(0, 2), [
    [{ a: 'none' }, null],
    [{ a: 'one' }, `00-${TRACE}-${SPAN}-01`],
  ]);
  assert.deepEqual([here[2][1], there[2][1]], Array(2).fill(`cc-${TRACE}-${SPAN}-ff`));
  assert.equal(here.length, 3 + 13 + 4);
  assert.deepEqual(
    here.slice(3).filter(([, traceparent]) => traceparent !== null),
    [],
  );
  assert.deepEqual(there, here);
});

test("a message has the trace of OpenTelemetry's active context", { skip }, async () => {
  const { here, there, extracted } = await run("OpenTelemetry's", [0]);
  assert.deepEqual(there, [
    ['before it is set up', null],
    ['without a propagator', null],
    ['active', `00-${TRACE}-${SPAN}-01`],
    ['given', `00-${TRACE}-${'1'.repeat(16)}-00`],
    ['none', null],
    ['outside', null],
    ['end', null],
  ]);
  assert.deepEqual(here, there);
  assert.deepEqual(extracted, [[TRACE, SPAN, true]]);
});

test('nothing of OpenTelemetry is loaded for it', { skip }, async () => {
  assert.deepEqual(await run('nothing is loaded', []), { loaded: [[]] });
});
