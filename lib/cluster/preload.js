'use strict';

// Makes a process that a primary has started a worker, before any other code runs: NODE_OPTIONS of the worker names
// this file (./start_of_workers). Where Node does not heed that variable, ../../index.js loads it, late.
//
// It needs no other file. The code that a worker runs is the primary's own, in memory that the process inherits: what
// lies beside this file now may be another version, or gone, and the user may change before it is needed.

const fs = require('node:fs');

/** The environment variables that tell a process that it is our worker; gone before user code runs. */
const VARIABLE = 'RUST_CLUSTER_WORKER';
/** Where `register` was taken out of them: NODE_OPTIONS and execArgv as the user has them. */
const NODE_OPTIONS = 'RUST_CLUSTER_NODE_OPTIONS';
const EXEC_ARGV = 'RUST_CLUSTER_EXEC_ARGV';

/**
 * Version, worker.id, worker.slot, serialization, maxMessageSize; and descriptors, each with its inode: code, addon, channel, intake,
 * board.
 */
const WORD = /^(\S+) (\d+) (\d+) (json|advanced) (-|\d+)((?: (?:-|\d+:\d+)){5})$/;

/** Node's realpath, which finds the program next, looks at the numbers that the last stat of another kind has left. */
const EXACT = { bigint: true };

/** What names this file in NODE_OPTIONS: see ./start_of_workers. */
const OPTION = /--require "(?:[^"\\]|\\.)*\/preload\.js" ?/s;

function becomeWorker() {
  const { version, code, addon, ...identity } = read(process.env[VARIABLE]);
  if (code) {
    const { load, forget, addonFile } = unpack(code);
    load.give('native', { load: once(() => loadAddon(addon, addonFile)), supported: true });
    leaveNoTrace();
    load('become_worker')({ ...identity, preload: __filename });
    forget();
  } else {
    // Of a bundle: there are no files of ours, and so the code of the primary was not to be had.
    const { VERSION } = require('../native');
    if (version !== VERSION) throw refusal(`its primary is rust-cluster ${version}, and this is ${VERSION}`);
    leaveNoTrace();
    require('./become_worker')(identity);
  }
}

/** What the primary says of this process, if it is meant for this process. */
function read(word) {
  const [, version, id, slot, serialization, longestSent, descriptors] = word.match(WORD) ?? [];
  if (!version) throw refusal('it is not what a primary has written');
  const [code, addon, channel, handoff, board] = descriptors.trim().split(' ').map(inherited);
  if (!channel) throw refusal('it names no channel');
  return {
    version,
    id: Number(id),
    slot: Number(slot),
    serialization,
    longestSent: longestSent === '-' ? undefined : Number(longestSent),
    code,
    addon,
    channel: channel.fd,
    handoff: handoff?.fd ?? -1,
    board: board?.fd ?? -1,
  };
}

/** A descriptor that is what the primary has given, and not another that has its number by chance. */
function inherited(text) {
  if (text === '-') return undefined;
  const [fd, inode] = text.split(':');
  let stat;
  try {
    stat = fs.fstatSync(Number(fd), EXACT);
  } catch {
    // Closed.
  }
  if (stat?.ino !== BigInt(inode))
    throw refusal(`descriptor ${fd} is not what the primary has given its worker`);
  return { fd: Number(fd), stat };
}

function refusal(reason) {
  const error = new Error(
    `This process was started as a worker of rust-cluster (${VARIABLE} is set), and cannot become one: ${reason}. ` +
      'Is the variable set by hand, or handed on by a program that closes descriptors? Start it without that ' +
      'variable, or hand on both.',
  );
  error.code = 'ERR_RUST_CLUSTER_BAD_START';
  return error;
}

/**
 * The primary's code.
 * @returns {{ load: Function, forget: Function, addonFile: string }} `load` is the `require` of its modules
 */
function unpack({ fd, stat }) {
  const size = Number(stat.size);
  const bytes = Buffer.allocUnsafeSlow(size);
  // At places: whoever else has inherited the descriptor reads the same.
  for (let at = 0, read = 1; at < size && read > 0; at += read)
    read = fs.readSync(fd, bytes, at, size - at, at);
  fs.closeSync(fd);
  const end = bytes.indexOf('\n');
  const { addonFile, modules } = JSON.parse(bytes.utf8Slice(0, end));
  const parts = new Map();
  let start = end + 1;
  for (const { name, filename, source, cached } of modules) {
    const text = bytes.latin1Slice(start, start + source);
    start += source + cached;
    const cachedData = cached > 0 ? bytes.subarray(start - cached, start) : undefined;
    parts.set(lastWord(name), { filename, text, cachedData });
  }
  // What V8 has read is of no use any more. Older versions of Node let go of it when they collect garbage.
  const forget = () => bytes.buffer.transfer?.(0);
  return { load: loader(parts), forget, addonFile };
}

/**
 * A module's name in memory: no two have the same. Paths would be joined so often that V8 optimizes node:path, in threads
 * that take memory of their own.
 */
const lastWord = file => file.slice(file.lastIndexOf('/') + 1);

/** The `require` of modules that lie in memory. */
function loader(parts) {
  const { Script } = require('node:vm');
  // Nothing that a bundler would look for. Node 20.15 has no such function.
  const outside = process.getBuiltinModule ?? require('node:module').createRequire(__filename);
  const loaded = new Map();

  function load(name) {
    if (loaded.has(name)) return loaded.get(name).exports;
    const { filename, text, cachedData } = parts.get(name);
    const module = { exports: {} };
    const within = request => (request.startsWith('.') ? load(lastWord(request)) : outside(request));
    new Script(text, { filename, cachedData }).runInThisContext()(module.exports, within, module);
    // One that throws is loaded anew when it is asked for again.
    loaded.set(name, module);
    parts.delete(name);
    return module.exports;
  }

  load.give = (name, exports) => loaded.set(name, { exports });
  return load;
}

/** The file that the primary has loaded, wherever it is now: under its name, so that tools find it, or as inherited. */
function loadAddon({ fd, stat }, file) {
  const addon = { exports: {} };
  process.dlopen(addon, isFile(file, stat) ? file : `/proc/self/fd/${fd}`);
  fs.closeSync(fd);
  return addon.exports;
}

function isFile(file, { dev, ino }) {
  try {
    const named = fs.statSync(file, EXACT);
    return named.ino === ino && named.dev === dev;
  } catch {
    // Gone, or not for this user.
    return false;
  }
}

function once(make) {
  let made;
  return () => {
    made ??= make();
    return made;
  };
}

/** Neither grandchildren nor worker threads, which get copies, find what made this a worker; nor does user code. */
function leaveNoTrace() {
  const { env, execArgv } = process;
  delete env[VARIABLE];
  const options = env[NODE_OPTIONS] ?? env.NODE_OPTIONS?.replace(OPTION, '');
  if (options) env.NODE_OPTIONS = options;
  else delete env.NODE_OPTIONS;
  delete env[NODE_OPTIONS];
  if (env[EXEC_ARGV]) {
    putBack(execArgv, JSON.parse(env[EXEC_ARGV]));
    delete env[EXEC_ARGV];
  }
  // Another array: Node is on its way through the old one, and would leave out who moves up.
  const { _preload_modules: preloads } = process;
  const place = preloads.findIndex(file => file.endsWith('/preload.js'));
  const value = preloads.filter((_, at) => at !== place);
  Object.defineProperty(process, '_preload_modules', { value, configurable: true, enumerable: true });
  delete require.cache[__filename];
}

/**
 * Puts into `execArgv` what was left out of the command line.
 * @param {string[]} execArgv as Node has it: a launcher may have put options of its own before those that it was given,
 *   and the first of those that is no option of Node's begins the program
 * @param {{ given: string[], original: string[] }} lists `given` is `original` without what loads this package
 */
function putBack(execArgv, { given, original }) {
  let taken = Math.min(given.length, execArgv.length);
  while (!given.slice(0, taken).every((word, place) => execArgv.at(place - taken) === word)) taken--;
  let seen = 0;
  const end = original.findIndex(word => word === given[seen] && seen++ === taken);
  execArgv.splice(execArgv.length - taken, taken, ...(end < 0 ? original : original.slice(0, end)));
}

/** Where this was not run first: modules have names from the cluster object already. */
function becomeWorkerLate() {
  if (!process.env[VARIABLE]) return;
  becomeWorker();
  require('node:module').syncBuiltinESMExports();
}

// Node's own rule: without a program there is no worker. A launcher may call `node -p` before it starts ours.
if (process.env[VARIABLE] && process.argv[1]) becomeWorker();

module.exports = { VARIABLE, NODE_OPTIONS, EXEC_ARGV, becomeWorkerLate };
