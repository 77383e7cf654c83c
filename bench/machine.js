'use strict';

const { execFileSync } = require('node:child_process');
const os = require('node:os');

/** What the figures depend on, besides the code. */
function machine() {
  const [cpu] = os.cpus();
  return {
    cpu: cpu.model.trim(),
    cpus: os.availableParallelism(),
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GB`,
    arch: os.arch(),
    kernel: `${os.type()} ${os.release()}`,
  };
}

/** The commit that is measured, with a + if files differ from it. */
function commit() {
  const git = (...args) =>
    execFileSync('git', args, { cwd: __dirname, encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', '..') ? '+' : '');
  } catch {
    return undefined;
  }
}

module.exports = { machine, commit };
