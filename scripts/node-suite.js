#!/usr/bin/env node
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { compare } = require('./node-suite/compare.js');
const { parse, usage, UsageError } = require('./node-suite/options.js');
const report = require('./node-suite/report.js');
const { Runner } = require('./node-suite/run.js');
const { schedule } = require('./node-suite/schedule.js');
const { select } = require('./node-suite/select.js');
const { lookUp, unreadable } = require('./node-suite/user.js');
const { control, wayIn, whyNoWay } = require('./node-suite/ways.js');

/** @typedef {import('./node-suite/options.js').Options} Options */

async function main() {
  const options = parse(process.argv.slice(2));
  if (options.help) return console.log(usage);
  const ways = { control, subject: wayIn(options.way, options.subject) };
  const { tests, user } = prepare(options, ways);
  const scratch = makeScratch(user);
  const runner = new Runner({ ...options, cwd: path.dirname(options.dir), scratch, user });
  const cleanUp = () => {
    runner.killNow();
    fs.rmSync(scratch, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => process.exit(128 + os.constants.signals[signal]));
  }
  process.once('exit', cleanUp);

  console.log(headline(options, tests, user));
  const comparisons = await compareAll(runner, ways, tests, options);
  finish(comparisons, options);
}

/**
 * What can be said before the first test runs.
 *
 * @param {Options} options
 */
function prepare(options, ways) {
  for (const folder of ['parallel', 'sequential', 'common']) {
    if (fs.existsSync(path.join(options.dir, folder))) continue;
    throw new UsageError(`${options.dir} is no test folder of Node: it has no ${folder}/`);
  }
  const tests = select(options.dir, options.sets, options.only);
  if (tests.length === 0) throw new UsageError('No test matches');
  const user = options.user === undefined ? undefined : changeTo(options, ways);
  const problem = options.controlOnly ? undefined : whyNoWay(options.node, ways.subject, user);
  if (problem) throw new UsageError(problem);
  return { tests: Array.from({ length: options.repeat }, () => tests).flat(), user };
}

function changeTo(options, ways) {
  if (process.getuid() !== 0) throw new UsageError('--user needs root');
  let user;
  try {
    user = lookUp(options.user);
  } catch {
    throw new UsageError(`No such user: ${options.user}`);
  }
  const preloads = [...ways.control.preloads, ...(options.controlOnly ? [] : ways.subject.preloads)];
  const needed = [options.dir, os.tmpdir(), ...new Set(preloads)];
  const missing = unreadable(user, options.node, needed);
  if (missing.length > 0) throw new UsageError(`${user.name} cannot read ${missing.join(', ')}`);
  return user;
}

function makeScratch(user) {
  const scratch = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'node-suite-'));
  fs.chmodSync(scratch, 0o755);
  if (user) fs.chownSync(scratch, user.uid, user.gid);
  return scratch;
}

/** @param {Options} options */
function headline({ node, dir, sets, way, jobs, controlOnly }, tests, user) {
  const version = spawnSync(node, ['-p', 'process.version'], { encoding: 'utf8' }).stdout?.trim();
  const asRoot = process.getuid() === 0 && !user;
  return [
    `Node ${version}, ${dir}, set ${sets.join(', ')}: ${tests.length} tests, ${jobs} at a time`,
    controlOnly ? "Node's own cluster only" : `rust-cluster by way of ${way}`,
    asRoot ? 'Run as root: tests that are not for root are skipped (--user NAME)' : `As ${userName(user)}`,
  ].join('\n');
}

function userName(user) {
  return user?.name ?? os.userInfo().username;
}

/** @param {Options} options */
async function compareAll(runner, ways, tests, options) {
  const comparisons = [];
  await schedule(tests, options.jobs, async (test, slot) => {
    const run = way => runner.run(test, ways[way], slot);
    const comparison = await compare(run, { ...options, name: test.name });
    comparisons.push(comparison);
    console.error(report.progress(comparison, comparisons.length, tests.length));
  });
  return comparisons.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

/** @param {Options} options */
function finish(comparisons, options) {
  const parts = [report.table(comparisons), report.difference(comparisons), report.totals(comparisons)];
  console.log(`\n${parts.filter(Boolean).join('\n\n')}\n${Math.round(performance.now() / 1000)} s`);
  if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(comparisons, null, 2)}\n`);
  if (comparisons.some(({ worse }) => worse)) process.exitCode = 1;
}

main().catch(error => {
  console.error(error instanceof UsageError ? error.message : error);
  process.exitCode = 2;
});
