'use strict';

// Older kernels and stricter sandboxes than the one that runs the tests.

const { test } = require('node:test');
const { bodiesOf } = require('../support/http');
const { KERNELS } = require('../support/kernel');
const { run } = require('../support/program');

for (const kernel of Object.keys(KERNELS)) {
  test(`workers start, serve and end under ${kernel}`, async () => {
    await run('engine/programs/kernel.js', { kernel, exits: ['SIGTERM', 7] }, async program => {
      const listening = await program.events('listening', 4);
      const { port } = listening.find(({ address }) => address.addressType === 4).address;
      await bodiesOf(2, port);
      await program.lines(/^signal to one that has ended: false$/);
      await program.end();
    });
  });
}
