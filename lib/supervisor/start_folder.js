'use strict';

const fs = require('node:fs');
const path = require('node:path');

/**
 * The folder that this process was started in, as the shell names it: behind a symbolic link, as `current` of a
 * deployment is, there may be another release at the next reload.
 */
function startFolder() {
  const { PWD } = process.env;
  try {
    if (path.isAbsolute(PWD) && fs.realpathSync(PWD) === process.cwd()) return PWD;
  } catch {
    // Not set, or not there any more.
  }
  return process.cwd();
}

module.exports = { startFolder };
