'use strict';

// Finds the addon. Where there is none for this platform, `load` returns undefined: Node's own cluster serves.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');

/** Whether this platform has a native engine at all. */
const supported = process.platform === 'linux';

/** The addon that `npm run build` makes. */
const built = path.join(root, 'rust-cluster.node');

/** The package that has the addon for this machine, where one was published. */
function platformPackage() {
  return `rust-cluster-linux-${process.arch}-${libc()}`;
}

/** The C library of this Node, by the name of the loader that its file asks for. A report would cost milliseconds. */
function libc() {
  const head = Buffer.alloc(2048);
  try {
    const file = fs.openSync(process.execPath);
    fs.readSync(file, head);
    fs.closeSync(file);
  } catch {
    // Nobody may read it, or it is gone: the usual one.
  }
  return head.includes('/ld-musl-') ? 'musl' : 'gnu';
}

/** Where the addon may be, in the order in which it is looked for. */
const PLACES = [() => process.env.RUST_CLUSTER_BINARY, () => built, platformPackage];

let addon;

/**
 * The addon.
 * @returns {object | undefined} undefined on a platform that has none
 */
function load() {
  if (supported) addon ??= find();
  return addon;
}

function find() {
  const failures = [];
  for (const place of PLACES) {
    const candidate = place();
    if (!candidate) continue;
    try {
      return require(candidate);
    } catch (error) {
      failures.push(`  ${candidate}\n    ${error.message.split('\n')[0]}`);
    }
  }
  const error = new Error(
    `rust-cluster was asked to load its native addon for ${process.platform} ${process.arch} ${libc()}, and found none.\n` +
      `Tried, in this order:\n${failures.join('\n')}\n` +
      'To mend it, with a Rust toolchain (https://rustup.rs) on the PATH:\n' +
      `  cd ${quoted(root)} && npm run build\n` +
      'or install the package again where optional dependencies and install scripts are allowed.',
  );
  error.code = 'ERR_RUST_CLUSTER_NO_BINARY';
  throw error;
}

/** As a shell takes it, where it must be quoted. */
function quoted(text) {
  return /^[\w./@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

module.exports = { load, supported, built };
