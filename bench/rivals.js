'use strict';

// Who is compared. All run on the Node binary that runs the harness.

const path = require('node:path');

/**
 * @typedef {object} Rival
 * @property {string} name
 * @property {string} title
 * @property {string} cluster what the programs require
 * @property {'rr' | 'none'} policy
 * @property {object} [listen] options of server.listen()
 * @property {[number, number]} [since] the first version of Node that has it
 */

/** The package that this folder is part of. */
const here = path.join(__dirname, '..');

/** @type {Rival[]} */
const rivals = [
  { name: 'node-rr', title: 'Node, round robin', cluster: 'node:cluster', policy: 'rr' },
  { name: 'node-none', title: 'Node, shared socket', cluster: 'node:cluster', policy: 'none' },
  {
    name: 'node-reuseport',
    title: 'Node, reusePort',
    cluster: 'node:cluster',
    policy: 'none',
    listen: { reusePort: true },
    since: [22, 12],
  },
  { name: 'rust-rr', title: 'rust-cluster, round robin', cluster: here, policy: 'rr' },
  { name: 'rust-none', title: 'rust-cluster, shared socket', cluster: here, policy: 'none' },
];

/** Whether this Node has it. */
function isAvailable({ since = [0, 0] }) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > since[0] || (major === since[0] && minor >= since[1]);
}

/**
 * Another build of this package as one more rival, for a comparison of before and after.
 * @param {string} name
 * @param {string} folder
 * @returns {Rival}
 */
function anotherBuild(name, folder) {
  return { name, title: name, cluster: path.resolve(folder), policy: 'rr' };
}

module.exports = { rivals, isAvailable, anotherBuild };
