'use strict';

const { test } = require('node:test');
const { run } = require('../support/program');
const way = require('../support/way');

const skip = way === 'node' && "Node's own cluster has another variable";

test('a worker is who the primary says, whatever its environment says', { skip }, async () => {
  await run('engine/programs/identity.js', { exits: [0, 0] }, async program => {
    for (const id of [1, 2]) await program.lines(new RegExp(`^worker ${id} says ${id}, undefined$`));
    await program.end();
  });
});
