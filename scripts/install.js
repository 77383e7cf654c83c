'use strict';

// npm's install script, and `npm run build`: builds the addon where no binary fits this machine.
//
// It needs nothing but Node and cargo, since an installed package has no devDependencies. It never fails an
// installation: without cargo, the first require() says what is missing and how to mend it.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const native = require('../lib/native');

const root = path.join(__dirname, '..');
const force = process.argv.includes('--force');

function main() {
  if (!native.supported) return;
  if (!force && loads()) return;
  const cargo = spawnSync('cargo', ['--version']);
  if (cargo.error) {
    console.warn(
      'rust-cluster: no prebuilt binary fits, and there is no cargo to build one (https://rustup.rs).',
    );
    console.warn('rust-cluster: the first require() will say what to do.');
    process.exitCode = force ? 1 : 0;
    return;
  }
  const built = spawnSync('cargo', ['build', '--release', '--locked'], { cwd: root, stdio: 'inherit' });
  if (built.status !== 0) {
    process.exitCode = 1;
    return;
  }
  const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
  // Replaced in one step: a running program keeps the file it has loaded.
  fs.copyFileSync(path.join(target, 'release', 'librust_cluster.so'), `${native.built}.new`);
  fs.renameSync(`${native.built}.new`, native.built);
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
