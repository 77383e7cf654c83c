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

/** Node's realpath, which finds the program next, looks at the numbers that the last stat of another kind has left. */
const EXACT = { bigint: true };

/** What names this file in NODE_OPTIONS: see ./start_of_workers. */
const OPTION = /--require "(?:[^"\\]|\\.)*\/preload\.js" ?/s;

function becomeWorker() {
  const { version, code, addon, channel, handoff, board, ...identity } = read(process.env[VARIABLE]);
  // Of a bundle there are no files of ours, and so the code of the primary was not to be had.
  const inFiles = code ? undefined : require('../native');
  if (inFiles && version !== inFiles.VERSION)
    throw refusal(`its primary is rust-cluster ${version}, and this is ${inFiles.VERSION}`);
  const native = inFiles ? inFiles.load() : loadAddon(addon);
  for (const given of [code, channel, handoff, board]) if (given) adopt(native, given);
  leaveNoTrace();
  const become = inFiles ? require('./become_worker') : loader(native, code.fd)('become_worker');
  become({
    ...identity,
    channel: channel.fd,
    handoff: handoff?.fd ?? -1,
    board: board?.fd ?? -1,
    preload: inFiles ? undefined : __filename,
  });
}

/**
 * What the primary says of this process: version, worker.id, worker.slot, serialization, maxMessageSize; code, addon and
 * its file; channel, intake and board.
 */
function read(text) {
  const [version, id, slot, serialization, longestSent, code, addon, ...rest] = text.split(' ');
  const [channel, handoff, board] = rest.splice(-3);
  const isNumber = word => word !== '' && Number.isInteger(Number(word));
  if (!board || ![id, slot].every(isNumber)) throw refusal('it is not what a primary has written');
  const said = {
    version,
    id: Number(id),
    slot: Number(slot),
    serialization,
    longestSent: longestSent === '-' ? undefined : Number(longestSent),
    code: given(code),
    addon: { ...given(addon), file: rest.join(' ') },
    channel: given(channel),
    handoff: given(handoff),
    board: given(board),
  };
  if (!said.channel) throw refusal('it names no channel');
  return said;
}

/** What the primary has given: the number of a descriptor here, and the inode that no other has; `-` is none. */
function given(word) {
  if (word === '-') return undefined;
  const [fd, inode = '', device] = word.split(':');
  return { fd: Number(fd), inode, device };
}

/** Takes over a descriptor, if it is what the primary has given, and not another that has its number by chance. */
function adopt(native, { fd, inode }) {
  if (!native.adopt(fd, inode)) throw notGiven(fd);
}

const notGiven = fd => refusal(`descriptor ${fd} is not what the primary has given its worker`);

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
 * A module's name in memory: no two have the same. Paths would be joined so often that V8 optimizes node:path, in threads
 * that take memory of their own.
 */
const lastWord = file => file.slice(file.lastIndexOf('/') + 1);

/** The `require` of the primary's code, which lies in memory. */
function loader(native, fd) {
  const { Script } = require('node:vm');
  // Nothing that a bundler would look for. Node 20.15 has no such function.
  const outside = process.getBuiltinModule ?? require('node:module').createRequire(__filename);
  const modules = new Map(JSON.parse(native.openCode(fd)).map(part => [lastWord(part.name), part]));
  const loaded = new Map([['native', { exports: { load: () => native } }]]);

  function load(name) {
    if (loaded.has(name)) return loaded.get(name).exports;
    const { filename, start, length, cached } = modules.get(name);
    const module = { exports: {} };
    const within = request => (request.startsWith('.') ? load(lastWord(request)) : outside(request));
    const cachedData = cached > 0 ? native.codeCache(start + length, cached) : undefined;
    const script = new Script(native.codeText(start, length), { filename, cachedData });
    script.runInThisContext()(module.exports, within, module, process);
    // One that throws is loaded anew when it is asked for again.
    loaded.set(name, module);
    return module.exports;
  }

  return load;
}

/** The file that the primary has loaded, wherever it is now: under its name, so that tools find it, or as inherited. */
function loadAddon(addon) {
  const { fd, inode, file } = addon;
  const isNamed = isAddon(addon, fs.statSync, file);
  if (!isNamed && !isAddon(addon, fs.fstatSync, fd)) throw notGiven(fd);
  const loaded = { exports: {} };
  process.dlopen(loaded, isNamed ? file : `/proc/self/fd/${fd}`);
  if (loaded.exports.adopt(fd, inode)) loaded.exports.close(fd);
  return loaded.exports;
}

function isAddon({ inode, device }, look, place) {
  try {
    const stat = look(place, EXACT);
    return `${stat.ino}` === inode && `${stat.dev}` === device;
  } catch {
    // Gone, or not for this user.
    return false;
  }
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
