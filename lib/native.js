'use strict';

// Finds the addon. Where there is none for this platform, `load` returns undefined: Node's own cluster serves.
//
// The names of the addons are literal, and in a `try`: bundlers and file tracers find what they name, and go on
// without what is not installed.

const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');

/** The version of this package and of its addon, which is the protocol's too. */
const VERSION = '0.1.0';

const { bun, deno } = process.versions;

/** Bun and Deno have a cluster of their own. */
const runtime = (bun && 'Bun') || (deno && 'Deno') || process.platform;

/** Whether there is a native engine at all, here. */
const supported = runtime === 'linux';

const root = path.join(__dirname, '..');

const ADDON = 'rust-cluster.node';

/** The addon that `npm run build` makes. */
const built = path.join(root, ADDON);

/** Whether this file is a part of another, where ours do not lie beside it. */
const bundled = __filename !== path.join(root, 'lib', 'native.js');

/** ELF's numbers of the processors that there are addons for. */
const MACHINES = new Map([
  [62, 'x64'],
  [183, 'arm64'],
]);

let addon;
/** Where it was found; unknown in a bundle. */
let addonFile;

/**
 * The addon.
 * @returns {object | undefined} undefined on a platform that has none
 */
function load() {
  if (supported) addon ??= find();
  return addon;
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

/** Where the addon may be, in the order in which it is looked for. What the user names is the only one. */
function* places() {
  const { RUST_CLUSTER_BINARY } = process.env;
  if (RUST_CLUSTER_BINARY) {
    const file = path.resolve(RUST_CLUSTER_BINARY);
    yield { name: file, file };
    return;
  }
  yield { name: built, file: bundled ? undefined : built };
  // Some bundlers leave `require('../rust-cluster.node')` as it is.
  if (bundled) yield { name: path.join(__dirname, ADDON), file: path.join(__dirname, ADDON) };
  const name = `rust-cluster-linux-${process.arch}-${libc()}`;
  yield { name, file: bundled ? undefined : packageFile(name) };
}

/** @returns {string | undefined} the addon of a package; `requireFrom` says why there is none */
function packageFile(name) {
  try {
    return createRequire(__filename).resolve(name);
  } catch {
    return undefined;
  }
}

function find() {
  const failures = [];
  for (const { name, file } of places()) {
    try {
      const found = loadFrom(name, file);
      addonFile = file;
      return found;
    } catch (error) {
      failures.push({ name, error: error.code === 'ENOENT' ? new Error('it is not there') : error });
    }
  }
  throw noBinary(failures);
}

function loadFrom(name, file) {
  const flaw = file && flawOf(file);
  if (flaw) throw new Error(flaw);
  const found = requireFrom(name);
  if (found.VERSION !== VERSION)
    throw new Error(`it is of version ${found.VERSION ?? 'unknown'}, and this package is ${VERSION}`);
  return found;
}

function requireFrom(name) {
  try {
    switch (name) {
      case built:
        return require('../rust-cluster.node');
      case 'rust-cluster-linux-x64-gnu':
        return require('rust-cluster-linux-x64-gnu');
      case 'rust-cluster-linux-x64-musl':
        return require('rust-cluster-linux-x64-musl');
      case 'rust-cluster-linux-arm64-gnu':
        return require('rust-cluster-linux-arm64-gnu');
      case 'rust-cluster-linux-arm64-musl':
        return require('rust-cluster-linux-arm64-musl');
    }
  } catch (error) {
    // npm installs only those that fit.
    throw error.code === 'MODULE_NOT_FOUND' ? new Error('it is not there') : error;
  }
  const module = { exports: {} };
  process.dlopen(module, name);
  return module.exports;
}

/** Why a file is no addon for this machine. dlopen(3) says less; a file that is cut off ends the process. */
function flawOf(file) {
  const fd = fs.openSync(file);
  try {
    const { size } = fs.fstatSync(fd);
    const head = Buffer.alloc(64);
    fs.readSync(fd, head, 0, head.length, 0);
    if (head.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return `it is no addon (${size} bytes)`;
    const machine = MACHINES.get(head.readUInt16LE(18));
    if (machine !== process.arch)
      return `it is for ${machine ?? 'another processor'}, and this is ${process.arch}`;
    // The table of sections is the last thing in the file.
    const end = Number(head.readBigUInt64LE(40)) + head.readUInt16LE(58) * head.readUInt16LE(60);
    return size < end ? `it is cut off: ${size} of ${end} bytes` : undefined;
  } finally {
    fs.closeSync(fd);
  }
}

function noBinary(failures) {
  const tried = failures.map(({ name, error }) => `  ${name}\n    ${error.message.split('\n')[0]}`);
  const error = new Error(
    `rust-cluster was asked to load its native addon for ${process.platform} ${process.arch} ${libc()}, and found none.\n` +
      `Tried, in this order:\n${tried.join('\n')}\n${remedy(failures)}`,
  );
  error.code = 'ERR_RUST_CLUSTER_NO_BINARY';
  return error;
}

function remedy(failures) {
  const says = text => failures.some(({ error }) => error.message.includes(text));
  if (failures.some(({ error }) => error.code === 'ERR_DLOPEN_DISABLED'))
    return 'To fix this, allow native addons: without --no-addons, and with --allow-addons beside --permission.';
  if (says('failed to map segment'))
    return 'To fix this, install the package where programs may be run: its file system is mounted with noexec.';
  if (process.env.RUST_CLUSTER_BINARY)
    return 'To fix this, set RUST_CLUSTER_BINARY to an addon of this version, or unset it.';
  if (says('Not a directory'))
    return (
      'To fix this, have the package unpacked, since the system loads no addon out of an archive: with Yarn, without ' +
      '"unplugged": false in package.json; with Electron, by asarUnpack.'
    );
  if (bundled)
    return (
      'To fix this, have the bundler leave rust-cluster external, or copy rust-cluster.node beside the bundle, or set ' +
      'RUST_CLUSTER_BINARY to the rust-cluster.node of an installed package.'
    );
  return (
    'To fix this, with a Rust toolchain (https://rustup.rs) on the PATH:\n' +
    `  cd ${quoted(root)} && npm run build\n` +
    'or install the package again where optional dependencies and install scripts are allowed.'
  );
}

/** As a shell takes it, where it must be quoted. */
function quoted(text) {
  return /^[\w./@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

module.exports = { VERSION, load, runtime, supported, built, file: () => addonFile };
