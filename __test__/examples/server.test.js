'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const manifest = require('../../package.json');
const { answersOf, folder, start } = require('../supervisor/command');
const { get } = require('../support/http');
const { children } = require('../support/proc');
const { EXAMPLES } = require('./example');

test('server.js: the command, as npm start has it, serves it with all its workers', async t => {
  assert.equal(manifest.scripts.start, 'node bin/rust-cluster.js examples/server.js');
  const supervised = start(t, folder(t), ['-i', '2', path.join(EXAMPLES, 'server.js')], { env: { PORT: 0 } });
  const port = await supervised.port();
  const ask = async () => ({ pid: (await get(port)).body.match(/^Hello from process (\d+)\n$/)[1] });
  const answers = await answersOf(2, ask);
  assert.deepEqual(answers.map(({ pid }) => Number(pid)).sort(), children(supervised.pid).sort());
});
