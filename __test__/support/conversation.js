'use strict';

const assert = require('node:assert/strict');

/**
 * Checks what the primary and one worker say in document 004's second case. The lines of one process keep
 * their order; those of different processes mix freely.
 *
 * @param {string[]} stdout
 * @param {number} id
 * @param {string[]} [ending] what the primary says of the worker at last
 */
function assertConversation(stdout, id, ending = []) {
  const about = new RegExp(`worker ?(\\.\\.\\.)?${id}\\b`);
  const said = speaker => stdout.filter(line => line.startsWith(speaker) && about.test(line));

  assert.deepEqual(said('{master}'), [
    `{master} fork: worker ${id}`,
    `{master} online: worker${id}`,
    `{master} message {worker} worker${id} received!`,
    `{master} message {worker} worker${id} received!`,
    ...ending,
  ]);
  assert.deepEqual(said('{worker}'), [
    `{worker} start worker ...${id}`,
    `{worker} {master} hi worker ${id}`,
    `{worker} {master} send message to worker${id}`,
  ]);
}

module.exports = { assertConversation };
