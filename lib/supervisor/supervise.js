'use strict';

// The supervisor: tells its core (src/supervisor/) what happens to the workers, and does what the core decides, through
// the cluster object that every program has. The core knows no process, and this file takes no decision.

const EventEmitter = require('node:events');
const path = require('node:path');

const { channelOf } = require('../channel/setup_channel');
const { publish } = require('../cluster/diagnostics');
const errors = require('../errors');
const { instanceOf } = require('./instance');
const native = require('../native');
const { startFolder } = require('./start_folder');

/** What is told of a reload to those who subscribe. */
const RELOAD = {
  'reload-started': 'reload:start',
  'reload-done': 'reload:end',
  'reload-failed': 'reload:end',
};

/** setTimeout() takes no more. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * @param {import('node:cluster').Cluster} cluster
 * @param {object | (() => object | Promise<object>)} options a function is asked anew at each reload
 */
const supervise = (cluster, options) => new Supervisor(cluster, options);

class Supervisor extends EventEmitter {
  #cluster;
  #ask;
  #options;
  #base = startFolder();
  #core;
  /** What the core wants done, in its order. */
  #actions = [];
  #acting = false;
  #timer;
  #sampler;
  /** Those that have not ended, by their number. */
  #workers = new Map();
  /** What each worker has said of its end. */
  #words = new Map();
  #reloading;
  /** Who waits for the end of a reload, of a change of number. */
  #waiting = { reload: [], scale: [] };
  #allReady = false;
  #started = performance.now();
  #wanted;
  /** Whether it was to stop before it began, and whether it has ended. */
  #stopped = false;
  #finish;

  /** Resolves with the exit code when all workers have ended. */
  finished = new Promise((resolve, reject) => {
    this.#finish = { resolve, reject };
  });

  constructor(cluster, options) {
    super();
    this.#cluster = cluster;
    this.#ask = typeof options === 'function' ? options : () => options;
    // What is wrong with options that are there already is thrown at once.
    if (typeof options !== 'function') this.#options = check(options);
    // Who has called listens first.
    process.nextTick(() => this.#begin());
  }

  get name() {
    return this.#options?.name;
  }

  async #begin() {
    try {
      this.#options ??= check(await this.#ask());
    } catch (error) {
      this.#finish.reject(error);
      return;
    }
    if (this.#stopped) return this.#end(0);
    const workers = count(this.#options.workers);
    this.#wanted = workers;
    if (this.#options.telemetry !== undefined) require('../telemetry/primary').follow(this, this.#options);
    this.#core = new (native.load().Supervisor)({ ...this.#options, workers }, Math.random() * 2 ** 52);
    this.#setUp();
    this.#sample();
    this.#handle({ type: 'start' });
  }

  /** Looks at the workers again and again, as the options have it from now on. */
  #sample() {
    this.#sampler?.stop();
    this.#sampler = require('./sampling').sample(this.#options, this.#workers, event => this.#handle(event));
  }

  /** The settings of the workers from now on. */
  #setUp() {
    const { exec, args, execArgv, envFile } = this.#options;
    const folder = this.#folder();
    this.#cluster.setupPrimary({
      exec: path.resolve(folder, exec),
      args,
      execArgv: envFile ? [`--env-file=${path.resolve(folder, envFile)}`, ...execArgv] : execArgv,
      cwd: folder,
      dispatch: this.#dispatch(),
      telemetry: this.#options.telemetry,
      // A killed supervisor leaves nobody behind, not even one that is stuck.
      parentDeathSignal: 'SIGKILL',
    });
  }

  #dispatch() {
    const { dispatch, sticky } = this.#options;
    if (sticky === undefined) return dispatch;
    const general = typeof dispatch === 'string' ? {} : dispatch;
    return { ...general, policy: 'sticky', sticky: { by: sticky } };
  }

  /** As its user names it, and not where a symbolic link leads today: each worker looks it up anew. */
  #folder() {
    return path.resolve(this.#base, this.#options.cwd ?? '');
  }

  /** Tells the core what has happened, and does what it decides. */
  #handle(event) {
    if (!this.#core) return;
    this.#actions.push(...this.#core.handle(performance.now(), event));
    if (this.#acting) return;
    this.#acting = true;
    try {
      for (let action = this.#actions.shift(); action; action = this.#actions.shift())
        this.#acts[action.type](action);
    } finally {
      this.#acting = false;
    }
    this.#setTimer();
  }

  #setTimer() {
    clearTimeout(this.#timer);
    const deadline = this.#core?.deadline() ?? null;
    if (deadline === null) return;
    const wait = Math.min(Math.max(deadline - performance.now(), 0), LONGEST_TIMER);
    // What the workers have said meanwhile is heard first: the supervisor itself may have been stopped.
    const tell = () => setImmediate(() => this.#handle({ type: 'time' }));
    this.#timer = setTimeout(tell, Math.ceil(wait));
  }

  /** What the core decides. */
  #acts = {
    fork: action => this.#fork(action),
    drain: ({ worker, within }) => this.#drain(worker, within),
    signal: ({ worker, signal }) => this.#signal(worker, signal),
    diagnose: ({ worker }) => this.#diagnose(worker),
    report: ({ report }) => this.#report(report),
    reloaded: ({ replaced }) => this.#settle('reload', ({ resolve }) => resolve({ replaced })),
    reloadFailed: failure => this.#settle('reload', ({ reject }) => reject(this.#reloadFailed(failure))),
    scaled: ({ count: workers }) => this.#settle('scale', ({ resolve }) => resolve({ workers })),
    scaleFailed: ({ why }) => this.#settle('scale', ({ reject }) => reject(errors.scaleFailed(why))),
    end: ({ code }) => this.#end(code),
  };

  #fork({ slot }) {
    const { env, drain, watch } = this.#options;
    let worker;
    try {
      worker = this.#cluster.fork(
        {
          ...env,
          PWD: this.#folder(),
          NODE_APP_INSTANCE: `${slot}`,
          RUST_CLUSTER_SUPERVISED: `${drain}`,
          ...instanceOf({ ...process.env, ...env }, this.name, slot),
          ...(watch === true && { WATCH_REPORT_DEPENDENCIES: '1' }),
        },
        { slot },
      );
    } catch ({ message }) {
      this.#handle({ type: 'forkFailed', slot, why: message });
      return;
    }
    if (worker.process.pid === undefined) {
      worker.once('error', ({ message }) => this.#handle({ type: 'forkFailed', slot, why: message }));
      return;
    }
    this.#workers.set(worker.id, worker);
    this.#watch(worker);
    this.#handle({ type: 'forked', slot, worker: worker.id });
  }

  #watch(worker) {
    const { id } = worker;
    worker.on('online', () => this.#handle({ type: 'online', worker: id }));
    worker.on('listening', where =>
      this.#handle({ type: 'listening', worker: id, address: addressOf(where) }),
    );
    worker.on('message', message => this.#hear(id, message));
    worker.on('error', ({ message }) =>
      this.#report({ event: 'broken', slot: worker.slot, worker: id, why: message }),
    );
    worker.on('disconnect', () => this.#handle({ type: 'disconnected', worker: id }));
    worker.on('exit', (code, signal) => {
      this.#handle({ type: 'exited', worker: id, code, signal });
      this.#workers.delete(id);
      this.#words.delete(id);
    });
    const channel = channelOf(worker.process);
    const { oncontrol } = channel;
    channel.oncontrol = (message, fd) => {
      if (message?.act === 'lastWords') this.#words.set(id, linesOf(message));
      else oncontrol(message, fd);
    };
  }

  #hear(id, message) {
    if (message === 'ready') this.#handle({ type: 'ready', worker: id });
    const loaded = message?.['watch:require'] ?? message?.['watch:import'];
    if (Array.isArray(loaded)) this.emit('dependencies', loaded);
  }

  #drain(id, within) {
    const worker = this.#workers.get(id);
    if (!worker) return;
    const alone = this.#core.status().state === 'stopping';
    channelOf(worker.process)?.sendControl({ act: 'drain', within, alone });
    worker.disconnect();
  }

  #signal(id, signal) {
    const worker = this.#workers.get(id);
    if (!worker) return;
    // It may have had one like that before, with its whole group, and goes on since.
    if (signal === 'SIGTERM') channelOf(worker.process)?.sendControl({ act: 'end' });
    worker.process.kill(signal);
  }

  async #diagnose(id) {
    const worker = this.#workers.get(id);
    if (!worker) return;
    const found = await require('./diagnosis').diagnose(worker.process.pid);
    if (this.#core) this.#report({ event: 'stuck-at', slot: worker.slot, worker: id, ...found });
  }

  #report(report) {
    const pid = this.#workers.get(report.worker)?.process.pid;
    const { event, ...details } = report;
    if (event === 'replaced' && report.cause === 'reload')
      publish('reload:step', () => ({ name: this.name, worker: this.#workers.get(report.worker) }));
    else if (RELOAD[event]) publish(RELOAD[event], () => ({ name: this.name, ...details }));
    const lines = event === 'exited' && !report.expected ? this.#words.get(report.worker) : undefined;
    this.emit('report', {
      time: Date.now(),
      event,
      ...(pid !== undefined && { pid }),
      ...details,
      ...(lines && { lines }),
    });
    if (event === 'ready' || event === 'exited' || event === 'disconnected') this.#lookAtAll();
  }

  /** Tells when there is a worker that is ready in every slot, for the first time or again. */
  #lookAtAll() {
    const { workers } = this.#core.status();
    const slots = new Set(workers.map(({ slot }) => slot));
    const ready = workers.filter(({ state }) => state === 'ready');
    const before = this.#allReady;
    this.#allReady = slots.size > 0 && new Set(ready.map(({ slot }) => slot)).size === slots.size;
    if (before || !this.#allReady) return;
    const addresses = [...new Set(ready.flatMap(worker => worker.addresses))];
    const after = Math.round(performance.now() - this.#started);
    this.#report({ event: 'all-ready', workers: slots.size, addresses, after });
  }

  /**
   * Fills every slot anew, one after the other, the replacement first. Who asks while a reload runs joins it.
   * @returns {Promise<{ replaced: number }>}
   */
  reload() {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async #reload() {
    const options = check(await this.#ask());
    const [before, after] = [this.#options, options].map(({ workers }) => count(workers));
    this.#mustRun();
    this.#options = options;
    this.#setUp();
    this.#core.configure({ ...options, workers: after });
    this.#sample();
    // What was changed by scale() stays, unless the options say something new.
    if (after !== before) await this.scale(after);
    return this.#wait('reload', { type: 'reload' });
  }

  /**
   * Has so many workers from now on.
   * @param {number} workers
   * @returns {Promise<{ workers: number }>}
   */
  async scale(workers) {
    this.#mustRun();
    if (!Number.isInteger(workers) || workers < 1)
      throw errors.badOption('the number of workers', 'an integer of 1 or more', workers);
    this.#wanted = workers;
    return this.#wait('scale', { type: 'scale', count: workers });
  }

  #mustRun() {
    if (!this.#core) throw errors.notSupervising();
  }

  #wait(kind, event) {
    return new Promise((resolve, reject) => {
      this.#waiting[kind].push({ resolve, reject });
      this.#handle(event);
    });
  }

  #settle(kind, settle) {
    this.#waiting[kind].splice(0).forEach(settle);
  }

  #reloadFailed({ slot, worker, why }) {
    return Object.assign(errors.reloadFailed(slot, why), { slot, why, lines: this.#words.get(worker) ?? [] });
  }

  /**
   * Ends all workers: what they have under way is finished; the second time, at once.
   * @returns {Promise<number>} the exit code
   */
  stop() {
    if (this.#core) this.#handle({ type: 'stop' });
    else this.#stopped = true;
    return this.finished;
  }

  /** What there is, as plain data. */
  status() {
    const none = { state: this.#stopped ? 'stopped' : 'starting', workers: [] };
    const { state, workers } = this.#core?.status() ?? none;
    const now = performance.now();
    return {
      name: this.name,
      pid: process.pid,
      version: native.VERSION,
      state,
      wanted: this.#wanted,
      workers: workers.map(({ since, ...worker }) => ({
        ...worker,
        pid: this.#workers.get(worker.id)?.process.pid,
        since: Math.round(Date.now() - (now - since)),
      })),
    };
  }

  #end(code) {
    clearTimeout(this.#timer);
    this.#sampler?.stop();
    this.#core = undefined;
    this.#stopped = true;
    this.#finish.resolve(code);
  }
}

/** @returns {object} options that hold */
function check(options) {
  const checked = require('./options').check(options);
  if (checked.exec === undefined) throw errors.badOption('exec of supervise()', 'a path', undefined);
  return checked;
}

const count = workers => require('./how_many').howMany(workers).count;

/** Where a worker listens, as a person writes it. Nothing in what it says is sure. */
function addressOf({ addressType, address, port, fd }) {
  const host = typeof address === 'string' ? address : '*';
  const protocol = `${addressType}`.startsWith('udp') ? 'udp:' : '';
  if (!address && Number.isInteger(fd) && fd >= 0) return `${protocol}descriptor ${fd}`;
  if (!Number.isInteger(port) || port < 0) return `${protocol}${host}`;
  return `${protocol}${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What a worker has said of its end, if it is that. */
function linesOf({ lines }) {
  return Array.isArray(lines) ? lines.filter(line => typeof line === 'string').slice(0, 20) : [];
}

module.exports = { supervise };
