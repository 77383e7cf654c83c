'use strict';

// Where a worker listens: addresses of every form, by the user who runs this and by an ordinary one, say what they say
// with Node's own cluster.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, beforeEach, afterEach, describe, test } = require('node:test');
const differences = require('../support/differences');
const { runCase } = require('../support/run-case');

const ORDINARY = 65534;
const isRoot = process.getuid() === 0;

let taken;
before(async () => {
  taken = net.createServer().listen(0);
  await once(taken, 'listening');
});
after(() => taken.close());

let folder;
let server;
beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
  fs.chmodSync(folder, 0o777);
  const within = name => path.join(folder, name);
  fs.mkdirSync(within('folder'));
  fs.mkdirSync(within('closed'), { mode: 0 });
  fs.writeFileSync(within('file'), '');
  fs.symlinkSync('file', within('link'));
  fs.symlinkSync('nowhere', within('dangling'));
  fs.symlinkSync('loop', within('loop'));
  server = net.createServer().listen(within('server'));
  await once(server, 'listening');
});
afterEach(() => {
  server.close();
  fs.rmSync(folder, { recursive: true });
});

function listen(name, env) {
  const all = { FOLDER: folder, TAKEN: taken.address().port, RUN: path.basename(folder), ...env };
  return runCase('compatibility/programs/listen.js', name, { env: all, exits: [0] });
}

for (const policy of ['rr', 'none']) {
  const POLICY = { NODE_CLUSTER_SCHED_POLICY: policy };

  for (const user of ['', ORDINARY]) {
    const who = user ? 'an ordinary user' : 'whoever runs this';
    const skip = user !== '' && !isRoot && 'who runs this is one';
    test(`listen: every form of address is as Node has it (${policy}, ${who})`, { skip }, async () => {
      const said = await listen('places', { ...POLICY, USER: user });
      const control = await listen('places', { ...POLICY, USER: user, CLUSTER: 'node' });
      assert.deepEqual(Object.keys(said), Object.keys(control));
      const differs =
        policy === 'none' && differences.rightsOfSharedPaths
          ? ['path: readable by all', 'path: for all']
          : [];
      for (const [name, outcome] of Object.entries(said)) {
        if (!differs.includes(name)) assert.deepEqual(outcome, control[name], name);
      }
    });
  }

  test(`listen: datagrams, every form of address is as Node has it (${policy})`, async () => {
    const said = await listen('datagrams', POLICY);
    assert.deepEqual(said, await listen('datagrams', { ...POLICY, CLUSTER: 'node' }));
  });

  describe('abstract names', { skip: !differences.abstractNames && "Node's own resolves them" }, () => {
    test(`listen: abstract names are bound as they are, and the folder itself is taken (${policy})`, async () => {
      const said = await listen('places', { ...POLICY, OWN: 'yes' });
      for (const [name, rest] of Object.entries({
        'a name': 'name',
        'like a path': '/a/../b',
        'with NUL within': 'a@b',
      })) {
        const address = `@RUN-${rest}`;
        const info = { addressType: -1, address, port: -1, fd: 'undefined' };
        const key = `-1:${address}:-1`;
        assert.deepEqual(said[`abstract: ${name}`], [{ address, key, found: true, info }]);
      }
      for (const name of ['path: the folder itself', 'abstract: taken']) {
        assert.equal(said[name][0].error?.code, 'EADDRINUSE', name);
      }
    });
  });
}
