'use strict';

const { execFileSync, spawnSync } = require('node:child_process');

/** @typedef {{ name: string, uid: number, gid: number }} User */

/**
 * @param {string} name
 * @returns {User}
 */
function lookUp(name) {
  const id = flag => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
  return { name, uid: id('-u'), gid: id('-g') };
}

/**
 * The paths that the user can't read; all of them if the user cannot even run Node.
 *
 * @param {User} user
 * @param {string} node
 * @param {string[]} paths
 */
function unreadable(user, node, paths) {
  const program = `
    const fs = require('fs');
    const can = path => { try { fs.accessSync(path, fs.constants.R_OK); return true; } catch { return false; } };
    console.log(JSON.stringify(process.argv.slice(1).filter(path => !can(path))));`;
  const { status, stdout } = spawnSync(node, ['-e', program, ...paths], {
    uid: user.uid,
    gid: user.gid,
    cwd: '/',
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return status === 0 ? JSON.parse(stdout) : [node, ...paths];
}

module.exports = { lookUp, unreadable };
