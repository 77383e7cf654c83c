'use strict';

// Options of Node: with each, a program runs on rust-cluster as it does on Node's own cluster.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { assertSame } = require('./program');

const [major, minor] = process.versions.node.split('.').map(Number);
const since = (wantedMajor, wantedMinor = 0) =>
  (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) &&
  `Node ${wantedMajor}.${wantedMinor} has it`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-flags-'));
after(() => fs.rmSync(folder, { recursive: true }));

const ENV_FILE = path.join(__dirname, 'programs', 'env-file.txt');

/** A line of options each, or options and since when Node has them. */
const FLAGS = [
  [],
  ['--max-old-space-size=128'],
  ['--max-semi-space-size=2'],
  ['--stack-size=900'],
  ['--expose-gc'],
  ['--single-threaded'],
  ['--jitless'],
  ['--no-opt'],
  ['--interpreted-frames-native-stack'],
  ['--disallow-code-generation-from-strings'],
  ['--no-deprecation'],
  ['--throw-deprecation'],
  ['--pending-deprecation'],
  ['--no-warnings'],
  ['--trace-warnings'],
  ['--trace-uncaught'],
  ['--trace-sigint'],
  ['--unhandled-rejections=strict'],
  ['--abort-on-uncaught-exception'],
  ['--enable-source-maps'],
  ['--frozen-intrinsics', '--no-warnings'],
  ['--disable-proto=delete'],
  ['--disable-proto=throw'],
  ['--preserve-symlinks', '--preserve-symlinks-main'],
  ['--experimental-vm-modules', '--no-warnings'],
  ['--conditions=development'],
  ['--title=something-else'],
  ['--zero-fill-buffers'],
  ['--force-context-aware'],
  ['--dns-result-order=ipv4first'],
  ['--no-network-family-autoselection'],
  ['--tls-min-v1.3'],
  ['--insecure-http-parser'],
  ['--max-http-header-size=16384'],
  ['--v8-pool-size=1'],
  ['--report-on-fatalerror', `--report-directory=${folder}`],
  ['--cpu-prof', `--cpu-prof-dir=${folder}`],
  ['--heap-prof', `--heap-prof-dir=${folder}`],
  ['--trace-event-categories=node', `--trace-event-file-pattern=${folder}/trace-\${pid}.log`],
  [`--env-file=${ENV_FILE}`],
  { flags: ['--experimental-strip-types', '--no-warnings'], skip: since(22, 6) },
  { flags: ['--disable-wasm-trap-handler'], skip: since(22, 2) },
];

for (const entry of FLAGS) {
  const { flags, skip } = Array.isArray(entry) ? { flags: entry, skip: false } : entry;
  const name = flags.join(' ').replaceAll(folder, 'FOLDER').replaceAll(path.dirname(ENV_FILE), '.');
  test(`node ${name}`, { skip }, () => assertSame({ flags }));
}
