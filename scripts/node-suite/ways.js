'use strict';

const { spawnSync } = require('node:child_process');
const os = require('node:os');
const path = require('node:path');
const { environment } = require('./environment.js');

const root = path.resolve(__dirname, '../..');
const record = path.join(__dirname, 'record.js');

/**
 * How rust-cluster gets into a test: the preloads of NODE_OPTIONS. It is NODE_OPTIONS and not `-r` on the command
 * line because tests start programs of their own (which must have rust-cluster too, and inherit no command line)
 * and compare `process.execArgv` (which NODE_OPTIONS does not touch). The control has NODE_OPTIONS as well, for
 * the recorder, so a test that looks at the variable sees one in both runs.
 *
 * @typedef {object} Way
 * @property {string[]} preloads
 * @property {Record<string, string>} env
 */

/** @type {Way} */
const control = { preloads: [record], env: {} };

/**
 * @param {'register' | 'require'} name
 * @param {string} [subject] stands in for the package
 * @returns {Way}
 */
function wayIn(name, subject) {
  if (name === 'register') {
    return { preloads: [record, subject ?? path.join(root, 'register.js')], env: {} };
  }
  return {
    preloads: [record, path.join(__dirname, 'redirect.js')],
    env: subject ? { NODE_SUITE_SUBJECT: subject } : {},
  };
}

/**
 * Without this a way in that leads nowhere would compare Node with itself and find no difference.
 *
 * @param {string} node
 * @param {Way} way
 * @param {import('./user.js').User} [user]
 * @returns {string | undefined} what is wrong
 */
function whyNoWay(node, way, user) {
  const own = forkOf(node, control, user);
  if (own.status !== 0) return `${node} does not run:\n${own.error ?? own.stderr}`;
  const other = forkOf(node, way, user);
  if (other.status !== 0) return `rust-cluster does not load:\n${other.stderr}`;
  if (other.stdout === own.stdout)
    return `With ${way.preloads.at(-1)} loaded, cluster.fork is still Node's own`;
}

function forkOf(node, way, user) {
  const program = "console.log(String(require('cluster').fork))";
  return spawnSync(node, ['-e', program], {
    env: { ...environment(way), NODE_TEST_DIR: undefined },
    // Outside the package, where nothing is redirected.
    cwd: os.tmpdir(),
    encoding: 'utf8',
    timeout: 30_000,
    uid: user?.uid,
    gid: user?.gid,
  });
}

module.exports = { control, wayIn, whyNoWay };
