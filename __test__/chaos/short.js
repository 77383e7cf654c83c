'use strict';

// The fourteen guarantees (docs/guarantees.md), each attacked for a few seconds. The long form: npm run test:chaos.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { attack, details, guarantees, isBroken } = require('../../scripts/chaos/run');
const user = require('../support/user');
const way = require('../support/way');

const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const skip = way === 'node' && "Node's own cluster promises none of it: node scripts/chaos.js --control";

describe(`guarantees, CHAOS_SEED=${seed}, ${user.text}`, { skip }, () => {
  for (const guarantee of guarantees()) {
    test(`${guarantee.name}: ${guarantee.title}`, async t => {
      const result = await attack(guarantee, { way, seed, short: true });
      const text = `${result.lost} lost of ${result.tried} ${result.unit}\n${details(result)}`;
      t.diagnostic(text);
      assert.ok(!isBroken(result), `${text}\nCHAOS_SEED=${seed}`);
    });
  }
});
