'use strict';

// listen({ fd }) in a worker means a descriptor of the primary. It may be any: what is not there to be listened on is
// refused with Node's errno, and is as it was.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const differences = require('../support/differences');
const { runCase } = require('../support/run-case');
const way = require('../support/way');

const PROGRAM = 'compatibility/programs/listen-fd.js';

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-'));
});
after(() => fs.rmSync(folder, { recursive: true }));

/** What a worker is told of each kind. */
const KINDS = {
  'a file': 'EINVAL',
  'a device': 'EINVAL',
  stdin: 'EINVAL',
  stdout: 'EINVAL',
  epoll: 'EINVAL',
  eventfd: 'EINVAL',
  "another worker's channel": 'EEXIST',
  'a connection': 'EEXIST',
  'a server': 'EEXIST',
  'a server on a path': 'EEXIST',
  'a server of this very turn': 'EEXIST',
  'a UDP socket': 'EINVAL',
  'a UDP socket, for datagrams': 'EEXIST',
  'no descriptor': 'EINVAL',
  'the last number': 'EINVAL',
  'a number beyond': 'EINVAL',
  'a number far beyond': 'EINVAL',
  'a part of a number': 'EINVAL',
};
/** These Node's own takes over and closes, or does not have. */
const HARMED = {
  'a pipe': 'ENOTSOCK',
  pidfd: 'EINVAL',
  "another worker's queue": 'EINVAL',
  "another worker's listener": 'EEXIST',
  'a connection that is not read': 'EINVAL',
  "a thread's server": 'EEXIST',
  'the inspector': 'EEXIST',
};

for (const policy of ['rr', 'none']) {
  const run = (name, exits, env) =>
    runCase(PROGRAM, name, {
      env: { NODE_CLUSTER_SCHED_POLICY: policy, FOLDER: folder, ...env },
      exits,
      // The workers' inspectors start with the primary's, and want one port.
      stderr: /^Debugger |^For help|^Starting inspector /,
    });

  describe(`listen({ fd }), ${policy}`, () => {
    const all = way === 'node' ? KINDS : { ...KINDS, ...HARMED };
    // Without an acceptor there is no queue.
    if (policy === 'none') delete all["another worker's queue"];

    test(`listen({ fd }): what is not there to be listened on is refused and stays as it is (${policy})`, async () => {
      const said = await run('each kind', [0, 0], { KINDS: JSON.stringify(Object.keys(all)) });
      const expected = Object.entries(all).map(([kind, code]) => [kind, [[code, true]]]);
      assert.deepEqual(said, Object.fromEntries(expected));
    });

    test(`listen({ fd }): several workers, and one that comes later (${policy})`, async () => {
      const said = await run('one after the other', [0, 0, 0]);
      assert.deepEqual(said.together, [['listening', 'listening', ['worker 1', 'worker 2']]]);
      assert.deepEqual(said.later, [differences.descriptorsStay]);
      assert.deepEqual(said.answer, differences.descriptorsStay ? ['worker 3'] : undefined);
    });

    test(`listen({ fd }): datagrams (${policy})`, async () => {
      assert.deepEqual(await run('a UDP socket that nobody reads', [0]), { received: ['a datagram'] });
    });
  });
}
