'use strict';

// Programs of these tests that are written in Rust, as `cargo test` has built them.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

const files = new Map();

/**
 * @param {string} name of an example in Cargo.toml
 * @returns {string} the file to execute
 */
function built(name) {
  if (!files.has(name)) files.set(name, build(name));
  return files.get(name);
}

function build(name) {
  const args = [
    'build',
    '--quiet',
    '--locked',
    '--profile',
    'test',
    '--example',
    name,
    '--message-format',
    'json',
  ];
  const cwd = path.join(__dirname, '../..');
  return execFileSync('cargo', args, { cwd, encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).executable)
    .find(Boolean);
}

module.exports = { built };
