'use strict';

// Rehearses a release with what this machine can build, in a copy of the checkout: `npm run rehearse [-- DIR]`
// makes the two packages, this platform's and the main one, as they would be published, and leaves their tarballs
// in DIR (else `release`). Nothing is published.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..');
const { argv, env } = process;

function main() {
  const output = path.resolve(argv[2] ?? path.join(root, 'release'));
  fs.mkdirSync(output, { recursive: true });
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-release-'));
  try {
    rehearse(copy, output);
  } finally {
    fs.rmSync(copy, { recursive: true });
  }
}

function rehearse(copy, output) {
  const run = (file, ...args) => {
    console.log(`\n$ ${file} ${args.join(' ')}`);
    execFileSync(file, args, { cwd: copy, stdio: 'inherit', env: environment() });
  };
  copyCheckout(copy);
  keepOwnTarget(path.join(copy, 'package.json'));
  run('napi', 'build', '--platform', '--release', '--no-js', '--output-dir', 'artifacts', '--', '--locked');
  run('napi', 'create-npm-dirs');
  run('napi', 'artifacts');
  addLicenses(path.join(copy, 'npm'));
  // Writes this platform's package into the optional dependencies.
  run('napi', 'pre-publish', '--no-gh-release', '--skip-optional-publish');
  const [platform] = fs.readdirSync(path.join(copy, 'npm'));
  for (const folder of [`./npm/${platform}`, '.']) {
    run('npm', 'pack', folder, '--pack-destination', output);
    run('npm', 'publish', folder, '--dry-run');
  }
}

/** A package of its own has its licence with it. */
function addLicenses(folder) {
  for (const platform of fs.readdirSync(folder)) {
    fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, platform, 'LICENSE'));
  }
}

/** With the checkout's tools; and what cargo has built of the dependencies here is as good in the copy. */
function environment() {
  const PATH = `${path.join(root, 'node_modules', '.bin')}${path.delimiter}${env.PATH}`;
  return { CARGO_TARGET_DIR: path.join(root, 'target'), ...env, PATH };
}

/** The checkout as it is now, without what git ignores. */
function copyCheckout(copy) {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of files.split('\0').filter(Boolean)) {
    fs.cpSync(path.join(root, file), path.join(copy, file), { recursive: true });
  }
}

/** A release has an addon for every target; this machine builds one. */
function keepOwnTarget(file) {
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8'));
  const [, host] = execFileSync('rustc', ['-vV'], { encoding: 'utf8' }).match(/^host: (.*)$/m);
  manifest.napi.targets = manifest.napi.targets.filter(target => target === host);
  if (!manifest.napi.targets.length) throw new Error(`${host} is not among the targets of a release`);
  fs.writeFileSync(file, JSON.stringify(manifest, null, 2));
}

main();
