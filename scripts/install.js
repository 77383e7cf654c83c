'use strict';

// npm's install script, and `npm run build`: builds the addon where no binary fits this machine.
//
// It needs nothing but Node and cargo, since an installed package has no devDependencies. It never fails an
// installation: where nothing can be built, the first require() says what is missing and what to do.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const native = require('../lib/native');

const root = path.join(__dirname, '..');
const force = process.argv.includes('--force');

function main() {
  if (!native.supported) return;
  if (!force && loads()) return;
  if (spawnSync('cargo', ['--version']).error) {
    giveUp('no prebuilt binary fits, and there is no cargo to build one (https://rustup.rs)');
    return;
  }
  const library = build();
  if (!library) {
    giveUp('no prebuilt binary fits, and cargo could not build one');
    return;
  }
  // Replaced in one step: a running program keeps the file it has loaded.
  fs.copyFileSync(library, `${native.built}.new`);
  fs.renameSync(`${native.built}.new`, native.built);
  // Of an installed package nothing is built again.
  if (!fs.existsSync(path.join(root, '.git'))) {
    fs.rmSync(path.join(root, 'target'), { recursive: true, force: true });
  }
}

/** @returns {string | undefined} the library, wherever the user's cargo puts it */
function build() {
  const args = ['build', '--release', '--locked', '--lib', '--message-format', 'json-render-diagnostics'];
  const { status, stdout } = spawnSync('cargo', args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) return undefined;
  const messages = stdout.split('\n').filter(Boolean);
  const artifact = messages
    .map(line => JSON.parse(line))
    .find(({ target }) => target?.kind.includes('cdylib') && target.name === 'rust_cluster');
  return artifact.filenames.find(file => file.endsWith('.so'));
}

/** @param {string} reason */
function giveUp(reason) {
  console.warn(`rust-cluster: ${reason}.`);
  console.warn('rust-cluster: the first require() will say what to do.');
  process.exitCode = force ? 1 : 0;
}

function loads() {
  try {
    native.load();
    return true;
  } catch {
    return false;
  }
}

main();
