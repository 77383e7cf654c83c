'use strict';

// The programs of docs/bus.md.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { get } = require('../support/http');
const { run } = require('../support/program');
const way = require('../support/way');

const ROOT = path.join(__dirname, '..', '..');
const TEXT = fs.readFileSync(path.join(ROOT, 'docs', 'bus.md'), 'utf8');
const PROGRAMS = new Map(
  [...TEXT.matchAll(/^```js\n\/\/ (\S+\.js)\n(.*?)^```/gms)].map(([, ...program]) => program),
);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-bus-'));
after(() => fs.rmSync(folder, { recursive: true }));
fs.mkdirSync(path.join(folder, 'node_modules'));
fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'rust-cluster'));
for (const [name, text] of PROGRAMS) fs.writeFileSync(path.join(folder, name), text);

const skip = way === 'node' && "Node's own cluster has no bus";

test('there are two programs, and each is tried here', () =>
  assert.deepEqual([...PROGRAMS.keys()], ['cache.js', 'cron.js']));

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
