'use strict';

// As whom attacked programs, and those of tests about limits, run: as an ordinary user, whom limits hold. They do not
// hold root.

const fs = require('node:fs');
const { spawnSync } = require('node:child_process');

/**
 * A user whom nobody else is, so that what the kernel counts by user (processes, descriptors on their way) is what the
 * program has. Beyond the usual numbers of people and services, within what a container knows.
 */
const uid = 40_000 + (process.pid % 20_000);

const isRoot = process.getuid() === 0;

/** What a program needs to be able to do. */
const trial = `require(${JSON.stringify(require.resolve('../..'))}); require(${JSON.stringify(require.resolve('../../lib/native'))}).load()`;

let stayRoot = false;
let known;

/** Why the programs run as root; undefined: they do not. */
function asRoot() {
  if (!isRoot) return undefined;
  if (stayRoot) return 'as it was asked for';
  if (known === undefined) {
    const options = { uid, gid: uid, cwd: '/', encoding: 'utf8' };
    const { status, stderr, error } = spawnSync(process.execPath, ['-e', trial], options);
    const line = stderr?.split('\n').find(text => text.includes('Error'));
    known = status === 0 ? '' : `user ${uid} cannot run them: ${error?.message ?? line ?? status}`;
  }
  return known || undefined;
}

module.exports = {
  /** Has the programs run as root where this process does. */
  beRoot() {
    stayRoot = true;
  },

  /** What spawn() is to be told. */
  ids: () => (isRoot && !asRoot() ? { uid, gid: uid } : {}),

  /** Why there is no user whose processes are the program's alone; undefined: there is. For a test's name. */
  get shared() {
    return isRoot ? asRoot() : 'only root can start it as a user of its own';
  },

  /** Gives a file to the programs' user. */
  give(file) {
    if (isRoot && !asRoot()) fs.chownSync(file, uid, uid);
  },

  /** As whom, for the reader. */
  get text() {
    if (!isRoot) return `as user ${process.getuid()}`;
    const why = asRoot();
    return why ? `as root, whom limits do not hold (${why})` : `as user ${uid}`;
  },
};
