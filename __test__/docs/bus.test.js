'use strict';

// The programs of docs/bus.md.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { programsOf } = require('../support/document');
const { get } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');

const { names, folder } = programsOf('bus.md');
const skip = way === 'node' && "Node's own cluster has no bus";

test('there are two programs, and each is tried here', () =>
  assert.deepEqual(names, ['cache.js', 'cron.js']));

test('cache.js: what one worker changes the others forget', { skip }, () =>
  run(path.join(folder, 'cache.js'), { env: { PORT: 0 } }, async program => {
    const [{ address }] = await program.events('listening', 4);
    assert.equal((await get(address.port)).body, 'changed\n');
    const lines = await program.lines(/^slot (\d) forgets user:7: slot (\d) has changed it$/, 3);
    const [[, , changer]] = lines;
    const others = ['0', '1', '2', '3'].filter(slot => slot !== changer);
    assert.deepEqual(lines.map(([, slot]) => slot).sort(), others);
  }),
);

test('cron.js: one leads after the other', { skip }, () =>
  run(path.join(folder, 'cron.js'), { exits: Array(3).fill('SIGKILL') }, async program => {
    const lines = await program.lines(/^slot (\d) sends the reports$/, 3);
    assert.deepEqual(lines.map(([, slot]) => slot).sort(), ['0', '1', '2']);
    await program.end();
    assert.equal(program.stdout.length, 3);
  }),
);
