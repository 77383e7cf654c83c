'use strict';

// The package as it lies in somebody's node_modules, somewhere else.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const FILES = [
  'index.js',
  'index.mjs',
  'register.js',
  'telemetry.js',
  'package.json',
  'lib',
  'rust-cluster.node',
];

/**
 * @param {string} folder made where it is not there
 * @param {string[]} [without] files to leave out
 * @returns {string} the folder
 */
function copyPackage(folder, without = []) {
  fs.mkdirSync(folder, { recursive: true });
  for (const name of FILES) {
    if (!without.includes(name))
      fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  return folder;
}

module.exports = { copyPackage };
