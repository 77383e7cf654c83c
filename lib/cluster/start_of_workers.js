'use strict';

// What a worker is started with, so that it is one before user code runs: ./preload.js, which NODE_OPTIONS names, the
// code that it runs and the addon. The latter two are descriptors, which outlive their files.

const fs = require('node:fs');
const { createRequire } = require('node:module');
const os = require('node:os');
const path = require('node:path');
const { Script } = require('node:vm');

const native = require('../native');
const { EXEC_ARGV, NODE_OPTIONS, VARIABLE } = require('./preload');
const { textWithoutRegister, withoutRegister } = require('./register_option');

/** What a worker loads at its start, and what it may need later. */
const FIRST = [
  'channel/channel',
  'channel/setup_channel',
  'cluster/worker',
  'cluster/child',
  'cluster/become_worker',
];
const LATER = [
  'errors',
  'channel/handles',
  'channel/socket_list',
  'channel/long_strings',
  'channel/serialization',
  'cluster/open_connections',
  'cluster/permission',
  'cluster/supervised',
  'cluster/drain',
  'cluster/parsers',
  'cluster/requests',
  'telemetry/collect',
];

const NAMES = [...FIRST, ...LATER];

/** What the primary runs with them before: see there. */
const REHEARSAL = 'cluster/rehearsal';

const LIB = path.join(__dirname, '..');
const PRELOAD = path.join(__dirname, 'preload.js');

const BEFORE = Buffer.from('(function (exports, require, module, process) { ');
const AFTER = Buffer.from('\n})');

/** What is read now may be gone at the first fork. In a bundle there is nothing to read: ./preload says what then. */
const bundled = __filename !== path.join(__dirname, 'start_of_workers.js');
const sources = bundled ? undefined : readSources();
const addon = native.file() && inherited(openForWorkers(native.file()));

function readSources() {
  const [rehearsal, ...modules] = [REHEARSAL, ...NAMES].map(name => {
    const filename = `${LIB}/${name}.js`;
    return { name, filename, text: Buffer.concat([BEFORE, fs.readFileSync(filename), AFTER]) };
  });
  const fd = fs.openSync(PRELOAD);
  const preload = { source: fs.readFileSync(PRELOAD), stat: fs.statSync(PRELOAD), ofKernel: isOfKernel(fd) };
  fs.closeSync(fd);
  return { modules, rehearsal, preload };
}

/** A descriptor of the addon's file: of a copy in memory, where the kernel knows no such file. */
function openForWorkers(file) {
  const fd = fs.openSync(file);
  if (isOfKernel(fd)) return fd;
  const bytes = fs.readFileSync(file);
  fs.closeSync(fd);
  return native.load().memoryFile(path.basename(file), bytes);
}

/** Whether other processes can have it. What lies in an archive (Yarn's, Electron's, pkg's) only this one's `fs` knows. */
function isOfKernel(fd) {
  if (!fs.existsSync('/proc/self/fd')) return true;
  const stat = fs.statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size === fs.fstatSync(fd).size;
}

let code;

/** The code of the workers: in memory, where it outlives its files; those serve where there is no such memory. */
function codeInMemory() {
  try {
    if (sources) code ??= inherited(native.load().memoryFile('rust-cluster', pack()));
  } catch {
    // No descriptor is left, which the start of the process will tell; or the kernel has none of this kind.
  }
  return code;
}

/** A line that says what there is; then the text of each module, and what V8 has made of it. */
function pack() {
  const modules = [];
  const parts = [];
  const caches = cachesOf(sources.modules.slice(0, FIRST.length));
  let start = 0;
  for (const [at, { name, filename, text }] of sources.modules.entries()) {
    const cached = caches[at] ?? Buffer.alloc(0);
    modules.push({ name, filename, start, length: text.length, cached: cached.length });
    parts.push(text, cached);
    start += text.length + cached.length;
  }
  return Buffer.concat([Buffer.from(`${JSON.stringify(modules)}\n`), ...parts]);
}

/** V8's caches of these modules, with the functions in them that run at a start. */
function cachesOf(modules) {
  const scripts = new Map(modules.map(module => [path.basename(module.name), scriptOf(module)]));
  try {
    const rehearsal = { exports: {} };
    // Bundlers warn of a `require` that is handed on.
    const ours = createRequire(__filename);
    scriptOf(sources.rehearsal).runInThisContext()(rehearsal.exports, ours, rehearsal, process);
    rehearsal.exports(scripts);
  } catch {
    // Each worker compiles what it runs.
  }
  return Array.from(scripts.values(), script => script.createCachedData());
}

const scriptOf = ({ filename, text }) => new Script(text.latin1Slice(), { filename });

function inherited(fd) {
  const { ino: inode, dev: device } = fs.fstatSync(fd, { bigint: true });
  return { fd, inode, device };
}

let copy;

/** The file that NODE_OPTIONS is to name: ours, as long as it is the one that was loaded and the worker may read it. */
function preloadFile(otherUser) {
  if (!sources) return undefined;
  if (!otherUser && sources.preload.ofKernel && isUnchanged()) return PRELOAD;
  try {
    if (!copy || !fs.existsSync(copy)) copy = writeCopy();
    return copy;
  } catch {
    // It cannot be written: the worker's own require('rust-cluster') makes it one, if there is one.
    return undefined;
  }
}

function isUnchanged() {
  const stat = fs.statSync(PRELOAD, { throwIfNoEntry: false });
  return ['dev', 'ino', 'size', 'mtimeMs'].every(name => stat?.[name] === sources.preload.stat[name]);
}

/** A copy that every user may read, as long as this process lives. */
function writeCopy() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  const file = path.join(folder, 'preload.js');
  fs.writeFileSync(file, sources.preload.source);
  fs.chmodSync(folder, 0o755);
  fs.chmodSync(file, 0o644);
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  return file;
}

/** As NODE_OPTIONS has it: nothing is special within quotes but a quote and a backslash. */
const preloadOption = file => `--require "${file.replace(/["\\]/g, '\\$&')}" `;

const OURS = new RegExp(`^(?:NODE_UNIQUE_ID|${VARIABLE}|${NODE_OPTIONS}|${EXEC_ARGV})=`);

/**
 * What a worker is started with besides what the user wants it to have.
 * @param {object} worker
 * @param {number} worker.id
 * @param {number} worker.slot
 * @param {'json' | 'advanced'} worker.serialization
 * @param {number} [worker.maxMessageSize]
 * @param {string[]} worker.args argv, beginning with the program's name and `execArgv`
 * @param {string[]} worker.execArgv
 * @param {string[]} worker.envPairs
 * @param {boolean} worker.otherUser whether it may be unable to read our files
 * @param {number} worker.place the number of the first descriptor that it has not got from the user
 * @returns {{ args: string[], envPairs: string[], word: string, descriptors: number[] }}
 */
function startOfWorker({
  id,
  slot,
  serialization,
  maxMessageSize,
  args,
  execArgv,
  envPairs,
  otherUser,
  place,
}) {
  const descriptors = [];
  const give = given => {
    if (!given) return '-';
    descriptors.push(given.fd);
    return `${place + descriptors.length - 1}:${given.inode}:${given.device}`;
  };
  const words = [give(codeInMemory()), give(addon)];
  if (addon) words.push(native.file());
  // Node itself makes no primary of a process that has the first of them.
  const env = [...envPairs.filter(pair => !OURS.test(pair)), 'NODE_UNIQUE_ID='];
  const file = preloadFile(otherUser);
  const options = file ? preloaded(file, args, execArgv, env) : { args, envPairs: env };
  return {
    ...options,
    word: `${VARIABLE}=${[native.VERSION, id, slot, serialization, maxMessageSize ?? '-', ...words].join(' ')}`,
    descriptors,
  };
}

/** Has Node run `file` first, before all that NODE_OPTIONS and the command line name, and nothing else of ours. */
function preloaded(file, [name, ...rest], execArgv, env) {
  const envPairs = env.filter(pair => !pair.startsWith('NODE_OPTIONS='));
  const options = env.find(pair => pair.startsWith('NODE_OPTIONS='))?.slice('NODE_OPTIONS='.length) ?? '';
  const left = textWithoutRegister(options);
  envPairs.push(`NODE_OPTIONS=${preloadOption(file)}${left}`);
  if (left !== options) envPairs.push(`${NODE_OPTIONS}=${options}`);
  const given = withoutRegister(execArgv);
  if (given !== execArgv) envPairs.push(`${EXEC_ARGV}=${JSON.stringify({ given, original: execArgv })}`);
  return { args: [name, ...given, ...rest.slice(execArgv.length)], envPairs };
}

module.exports = { startOfWorker, NAMES };
