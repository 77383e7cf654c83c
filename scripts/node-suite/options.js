'use strict';

const { availableParallelism } = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const usage = `Usage: npm run test:node -- DIR [options]

Runs tests out of DIR, the test/ folder of a checkout of Node, once under Node's own cluster (the control)
and once under rust-cluster, and compares results and the exits of all processes that a test started. A
line that ends in < is worse than the control; then the exit code is 1, and 2 if nothing could be run.

  --node BIN        the Node to run them with (default: the one that runs this)
  --set NAMES       cluster (default); any other NAME for test-NAME-*; handles: those of child-process, net,
                    http, tls, dgram and others that use cluster or pass handles; all: cluster, handles, net,
                    http, dgram, tls, https and http2. More than one with commas
  --only PATTERN    only tests whose name, such as parallel/test-cluster-basic, matches this expression
  --way WAY         register (default): NODE_OPTIONS=--require=register.js
                    require: what a test gets for 'cluster' is require('rust-cluster')
  --jobs N          tests at a time (default: number of cores); those in sequential/ always run alone
  --timeout S       seconds a test may take (default 60)
  --grace S         seconds its processes may outlive it before they count as left over (default 3)
  --learn N         control runs, at most, to learn which exits vary under Node as well (default 10)
  --repeat N        runs every test N times
  --user NAME       runs all as this user (needs root)
  --control-only    leaves rust-cluster out
  --subject FILE    in place of this package's register.js (or index.js, for the way require)
  --json FILE       writes the results to FILE
`;

class UsageError extends Error {}

/**
 * @typedef {object} Options
 * @property {string} dir
 * @property {string} node
 * @property {string[]} sets
 * @property {RegExp} only
 * @property {'register' | 'require'} way
 * @property {number} jobs
 * @property {number} timeout milliseconds
 * @property {number} grace milliseconds
 * @property {number} learn
 * @property {number} repeat
 * @property {string} [user]
 * @property {boolean} controlOnly
 * @property {string} [subject]
 * @property {string} [json]
 * @property {boolean} help
 */

/**
 * @param {string[]} args
 * @returns {Options}
 */
function parse(args) {
  const { values, positionals } = read(args);
  if (!values.help && positionals.length !== 1) throw new UsageError('Which test folder?');
  if (!['register', 'require'].includes(values.way)) throw new UsageError(`No such way: ${values.way}`);
  return {
    dir: path.resolve(positionals[0] ?? '.'),
    node: values.node.includes('/') ? path.resolve(values.node) : values.node,
    sets: values.set.split(','),
    only: pattern(values.only),
    way: /** @type {'register' | 'require'} */ (values.way),
    jobs: number('jobs', values.jobs, 1),
    timeout: number('timeout', values.timeout, 0.1) * 1000,
    grace: number('grace', values.grace, 0) * 1000,
    learn: number('learn', values.learn, 0),
    repeat: number('repeat', values.repeat, 1),
    user: values.user,
    controlOnly: values['control-only'],
    subject: values.subject && path.resolve(values.subject),
    json: values.json,
    help: values.help,
  };
}

function read(args) {
  const text = value => ({ type: /** @type {const} */ ('string'), default: value });
  const flag = { type: /** @type {const} */ ('boolean'), default: false };
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        node: text(process.execPath),
        set: text('cluster'),
        only: text(''),
        way: text('register'),
        jobs: text(String(availableParallelism())),
        timeout: text('60'),
        grace: text('3'),
        learn: text('10'),
        repeat: text('1'),
        user: text(undefined),
        subject: text(undefined),
        json: text(undefined),
        'control-only': flag,
        help: { ...flag, short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function pattern(source) {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function number(name, text, least) {
  const value = Number(text);
  if (!(value >= least)) throw new UsageError(`--${name} must be a number from ${least} on, not ${text}`);
  return value;
}

module.exports = { parse, usage, UsageError };
