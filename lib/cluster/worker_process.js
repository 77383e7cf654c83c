'use strict';

// worker.process: a ChildProcess whose process is started and watched by Rust.
//
// Node's own child_process.fork() checks and normalises everything a user can pass, and Node's own
// ChildProcess does everything a user can see: stdio streams, 'spawn', 'error', 'exit', 'close', kill(). Only
// the handle beneath it, which starts the process, is ours, and so is the channel.

const childProcess = require('node:child_process');

const { startOfWorker } = require('./start_of_workers');
const { setupChannel } = require('../channel/setup_channel');
const native = require('../native').load();

const { ChildProcess } = childProcess;

/** An idle worker is looked after when its loop has not turned for so many milliseconds. */
const LONG_AGO = 1000;

/**
 * As child_process.fork, for a cluster worker.
 * @param {{ id: number, slot: number, acceptor?: object, exec: string, args: string[], options: object, own: object }} worker
 *   `own`: settings that Node does not have, see ./settings
 * @returns {import('node:child_process').ChildProcess}
 */
function forkWorker({ id, slot, acceptor, exec, args, options, own }) {
  const { prototype } = ChildProcess;
  const { spawn } = prototype;
  // fork() ends in child.spawn(options), synchronously: there the child is made ours.
  prototype.spawn = function (spawnOptions) {
    prototype.spawn = spawn;
    return spawnWorker(this, spawn, spawnOptions, { id, slot, acceptor, own, execArgv: options.execArgv });
  };
  try {
    return childProcess.fork(exec, args, options);
  } finally {
    prototype.spawn = spawn;
  }
}

function spawnWorker(child, spawn, options, { id, slot, acceptor, own, execArgv }) {
  const serialization = options.serialization || 'json';
  const channelPlace = options.stdio.indexOf('ipc');
  const twoChannels = channelPlace !== options.stdio.lastIndexOf('ipc');
  const notAllowed = process.permission?.has('child') === false;
  // Node itself refuses these.
  if (twoChannels || notAllowed) return spawn.call(child, options);
  const handle = new ProcessHandle(
    { id, slot, acceptor, own, execArgv, serialization, channelPlace },
    child._handle,
  );
  child._handle = handle;

  const stdio = options.stdio.map((value, place) => (place === channelPlace ? 'ignore' : value));
  const error = spawn.call(child, { ...options, stdio });
  if (handle.channel < 0) return error;

  // 'close' waits for the end of the channel too.
  child._closesNeeded++;
  const { channel } = setupChannel(child, handle.channel, serialization, own);
  handle.share(channel);
  channel.onend = () => {
    if (++child._closesGot === child._closesNeeded) child.emit('close', child.exitCode, child.signalCode);
  };
  if (process.env.WATCH_REPORT_DEPENDENCIES && process.send) relayWatched(child);
  // What the worker sent, and that it disconnected, is told before its end.
  handle.beforeExit = exit => channel.drain(exit);
  return error;
}

/** `node --watch` is told by its child which files it has loaded. A worker tells its primary: it is to hand that on. */
function relayWatched(child) {
  const { emit } = child;
  const value = function (event, message, ...rest) {
    const isReport = event === 'message' && (message?.['watch:require'] ?? message?.['watch:import']);
    return isReport ? process.send(message) : emit.call(this, event, message, ...rest);
  };
  Object.defineProperty(child, 'emit', { value, configurable: true, writable: true });
}

/** In the place of Node's own process handle. */
class ProcessHandle {
  #native = new native.WorkerProcess();
  #worker;

  /** Our end of the channel, -1 while there is none. */
  channel = -1;
  beforeExit = exit => exit();

  constructor(worker, theirs) {
    this.#worker = worker;
    // What Node's constructor has put there for the end of the process, and the way back to it. Node keeps a
    // process handle that never had a process, some hundred bytes: nothing may hang on it.
    this.onexit = theirs.onexit;
    theirs.onexit = undefined;
    for (const symbol of Object.getOwnPropertySymbols(theirs)) {
      this[symbol] = theirs[symbol];
      delete theirs[symbol];
    }
  }

  /** Called by ChildProcess.prototype.spawn: with one object up to Node 24, with eight values after it. */
  spawn(...values) {
    const [file, args, cwd, envPairs, stdio, , uid, gid] =
      typeof values[0] === 'string' ? values : flat(values[0]);
    const { id, slot, acceptor, own, execArgv, serialization, channelPlace } = this.#worker;
    if (process.permission) require('./permission').checkPipes(stdio);
    const descriptors = stdio.map(descriptorFor);
    descriptors[channelPlace] = 'channel';
    if (acceptor) descriptors.push('handoff');
    descriptors.push('board');
    const start = startOfWorker({
      id,
      slot,
      serialization,
      maxMessageSize: own.maxMessageSize,
      args,
      execArgv,
      envPairs,
      otherUser: uid != null || gid != null,
      place: descriptors.length,
    });
    const forked = native.fork(
      this.#native,
      {
        file,
        args: start.args.map(String),
        envPairs: start.envPairs,
        word: start.word,
        cwd: cwd == null ? undefined : `${cwd}`,
        uid: uid ?? undefined,
        gid: gid ?? undefined,
        parentDeathSignal: own.parentDeathSignal,
        slot,
        stdio: [...descriptors, ...start.descriptors],
      },
      acceptor,
      id,
      (code, signal) => this.#exited(code, signal),
    );
    this.channel = forked.channel;
    if (forked.pid) this.pid = forked.pid;
    for (const [place, fd] of forked.pipes.entries()) {
      if (fd >= 0) stdio[place].handle.open(fd);
    }
    return forked.error;
  }

  #exited(code, signal) {
    const { acceptor, id } = this.#worker;
    acceptor?.removeWorker(id);
    const exit = () => this.onexit(code, signal ? native.signalName(signal) : '');
    this.beforeExit(() => process.nextTick(exit));
  }

  /** Has long strings of the channel's messages take memory that the worker has, too. */
  share(channel) {
    this.#native.share(channel.native);
  }

  kill(signal) {
    return this.#native.kill(signal);
  }

  /** What `nativeOf` gives. */
  get native() {
    return this.#native;
  }

  /** What `boardOf` gives. */
  get board() {
    return {
      read: () => this.#native.readBoard() ?? undefined,
      sample: every => this.#native.sampleBoard(every),
      quiet: () => this.#quiet(),
    };
  }

  #quiet() {
    const { turns, turned } = this.board.read() ?? { turns: 0 };
    const { acceptor, id } = this.#worker;
    // One that turns needs no knocking; one that starts hears none yet.
    return turns > 0 && acceptor ? acceptor.quiet(id, turned > LONG_AGO) : 0;
  }

  ref() {
    this.#native.ref();
  }

  unref() {
    this.#native.unref();
  }

  hasRef() {
    return this.#native.hasRef();
  }

  close() {
    this.#native.close();
  }
}

/**
 * The board of a worker: what it notes of itself, read without asking it.
 * @param {import('./worker')} worker
 * @returns {{ read(): object | undefined, sample(every: number): void, quiet(): number } | undefined}
 *   undefined: its process has ended, or never was
 *   `read`: see BoardReading in src/node/board.rs; undefined where there is no such memory
 *   `sample` has it note `open` and `heapUsed`, every so many milliseconds at most, while its loop turns
 *   `quiet`: for how many milliseconds it has taken nothing of what is in its queue, where something is put once its loop
 *   does not turn any more; to be asked from time to time
 */
function boardOf({ process: child }) {
  return child?._handle?.board;
}

/**
 * The process of a worker, as the addon has it.
 * @param {import('./worker')} worker
 * @returns {object | undefined} undefined: it has ended, or never was
 */
function nativeOf({ process: child }) {
  return child?._handle?.native;
}

function flat({ file, args, cwd, envPairs, stdio, uid, gid }) {
  return [file, args, cwd, envPairs, stdio, 0, uid, gid];
}

/** What the child gets for one of Node's normalised stdio entries. */
function descriptorFor({ type, fd, handle }) {
  switch (type) {
    case 'pipe':
    case 'overlapped':
      return 'pipe';
    case 'inherit':
    case 'fd':
      return fd;
    case 'wrap':
      return handle.fd;
    default:
      return 'ignore';
  }
}

module.exports = { boardOf, forkWorker, nativeOf };
