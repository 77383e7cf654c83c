'use strict';

// The cluster object of the primary.

const debug = require('../debug');
const { publish } = require('./diagnostics');
const errors = require('../errors');
const Listeners = require('./listeners');
const native = require('../native').load();
const { forkOptions, ownSettings } = require('./settings');
const Worker = require('./worker');
const { inAnyCase } = require('../channel/channel');
const { channelOf } = require('../channel/setup_channel');
const { forkWorker } = require('./worker_process');

const SCHED_NONE = 1;
const SCHED_RR = 2;

/** Slots are few, and a mistaken one is soon seen. */
const LAST_SLOT = 65535;

/**
 * Makes `cluster` the cluster object of a primary.
 * @param {import('node:cluster').Cluster} cluster Node's own object, in place
 */
function install(cluster) {
  const primary = new Primary(cluster);
  cluster.isWorker = false;
  cluster.isMaster = true;
  cluster.isPrimary = true;
  cluster.Worker = Worker;
  cluster.workers = {};
  cluster.settings = {};
  cluster.SCHED_NONE = SCHED_NONE;
  cluster.SCHED_RR = SCHED_RR;
  cluster.schedulingPolicy = process.env.NODE_CLUSTER_SCHED_POLICY === 'none' ? SCHED_NONE : SCHED_RR;

  cluster.setupPrimary = options => primary.setup(options);
  cluster.setupMaster = cluster.setupPrimary;
  // As Node's: of one parameter.
  cluster.fork = (env, ...rest) => primary.fork(env, ...rest);
  cluster.disconnect = callback => primary.disconnectAll(callback);

  Worker.prototype.disconnect = function () {
    primary.disconnect(this);
    return this;
  };

  Worker.prototype.destroy = function (signal) {
    this.process.kill(signal || 'SIGTERM');
  };
}

/** What the functions of the cluster object do. */
class Primary {
  #cluster;
  #ids = 0;
  #initialized = false;
  #acceptor;
  #listeners;
  /** Tells the thread that answers, where the setting has it. */
  #telemetry;
  /** Workers that are to leave: telling them once is enough (node#32793). */
  #leaving = new WeakSet();
  /** Those among them, by id, whose queue has no room yet for all that is theirs. */
  #retiring = new Map();
  /** Those who were asked to leave, by id: they are in cluster.workers no more. */
  #departing = new Map();

  constructor(cluster) {
    this.#cluster = cluster;
  }

  setup(options) {
    const cluster = this.#cluster;
    const settings = {
      args: process.argv.slice(2),
      exec: process.argv[1],
      execArgv: process.execArgv,
      silent: false,
      ...cluster.settings,
      ...options,
    };
    // V8 would write the profiles of all processes to one file.
    if (hasArg(settings.execArgv, '--prof') && !hasArg(settings.execArgv, '--logfile=')) {
      settings.execArgv = [...settings.execArgv, '--logfile=v8-%p.log'];
    }
    ownSettings(settings);
    cluster.settings = settings;
    if (!this.#initialized) this.#initialize();
    process.nextTick(() => cluster.emit('setup', settings));
  }

  #initialize() {
    const { schedulingPolicy } = this.#cluster;
    if (schedulingPolicy !== SCHED_NONE && schedulingPolicy !== SCHED_RR) {
      throw errors.badSchedulingPolicy(schedulingPolicy);
    }
    if (schedulingPolicy === SCHED_RR) this.#acceptor = new native.Acceptor(() => this.#tellAcceptorEvents());
    this.#listeners = new Listeners(this.#acceptor, () => this.#cluster.settings);
    process.on('internalMessage', message => this.#debugWorkers(message));
    this.#initialized = true;
  }

  /** SIGUSR1 woke our inspector: wake the workers' too. */
  #debugWorkers({ cmd }) {
    if (cmd !== 'NODE_DEBUG_ENABLED') return;
    for (const worker of Object.values(this.#cluster.workers)) {
      if (worker.state === 'online' || worker.state === 'listening')
        process._debugProcess(worker.process.pid);
      else worker.once('online', () => process._debugProcess(worker.process.pid));
    }
  }

  /** Each event is told in a tick of its own: what a listener throws concerns no other. */
  #tellAcceptorEvents() {
    const acceptor = this.#acceptor;
    for (let event = acceptor?.nextEvent(); event; event = acceptor.nextEvent()) {
      const { worker: id } = event;
      const worker = this.#cluster.workers[id] ?? this.#departing.get(id);
      process.nextTick(() => this.#tellAcceptorEvent(event, worker));
    }
  }

  #tellAcceptorEvent({ kind, worker: id, code, message, count, address }, worker) {
    if (kind === 'broken') {
      const heard = this.#cluster.workers[id] ?? this.#retiring.get(id);
      if (heard) this.#broken(heard, { code, message });
    } else if (kind === 'starved') process.emitWarning(errors.starved(message));
    else if (kind === 'hasAll') this.#tellToLeave(this.#retiring.get(id));
    else if (kind === 'refused') publish(kind, () => ({ address, count }));
    else if (worker) {
      if (kind === 'rescued') return publish(kind, () => ({ worker, count }));
      debug(`Worker ${worker.process.pid} ${kind}`);
      publish(kind, () => ({ worker }));
    }
  }

  /** A worker that does not speak our protocol, or does not listen, is heard no more. */
  #broken(worker, reason) {
    const error = errors.brokenWorker(worker, reason);
    this.#listeners.remove(worker);
    if (worker.process.connected) worker.process.disconnect();
    // Where nobody listens the others go on all the same. (One listener is Worker's own.)
    const heard = worker.listenerCount('error') > 0 || worker.process.listenerCount('error') > 1;
    if (heard) worker.process.emit('error', error);
    else process.emitWarning(error);
  }

  fork(env, options) {
    const cluster = this.#cluster;
    cluster.setupPrimary();
    this.#startTelemetry();
    const slot = this.#slotFor(options);
    const id = ++this.#ids;
    const worker = new Worker({ id, slot, process: this.#createWorkerProcess(id, slot, env) });
    this.#watch(worker);
    cluster.workers[id] = worker;
    this.#telemetry?.forked(worker);
    publish('fork', () => ({ worker }));
    process.nextTick(() => cluster.emit('fork', worker));
    debug.quiet(`Worker ${worker.process.pid} forked, as worker ${id}: ${cluster.settings.exec}`);
    return worker;
  }

  #startTelemetry() {
    const { telemetry } = this.#cluster.settings;
    if (telemetry === undefined || this.#telemetry) return;
    const { start } = require('../telemetry/primary');
    this.#telemetry = start(telemetry, this.#acceptor);
  }

  /** The slot that was asked for, whoever fills it; else the lowest that nobody fills. */
  #slotFor(options) {
    const asked = options?.slot;
    if (asked !== undefined) {
      if (Number.isInteger(asked) && asked >= 0 && asked <= LAST_SLOT) return asked;
      throw errors.badSlot(LAST_SLOT, asked);
    }
    // One that is asked to leave is in cluster.workers no more.
    const workers = Object.values(this.#cluster.workers).filter(worker => !worker.isDead());
    const filled = new Set(workers.map(worker => worker.slot));
    let slot = 0;
    while (filled.has(slot)) slot++;
    return slot;
  }

  #createWorkerProcess(id, slot, env) {
    const { settings } = this.#cluster;
    const { exec, args, inspectPort } = settings;
    if (inspectPort === null) throw errors.badPort(null);
    const execArgv = [...settings.execArgv];
    if (usesInspector(execArgv)) execArgv.push(`--inspect-port=${inspectPortFor(inspectPort)}`);
    return forkWorker({
      id,
      slot,
      acceptor: this.#acceptor,
      exec,
      args,
      own: ownSettings(settings),
      options: { ...forkOptions(settings), execArgv, env: { ...process.env, ...env } },
    });
  }

  /** What a worker says, and what becomes of it. */
  #watch(worker) {
    const { process: child } = worker;
    const cluster = this.#cluster;
    worker.on('message', function (message, handle) {
      cluster.emit('message', this, message, handle);
    });
    child.once('exit', (exitCode, signalCode) => this.#exited(worker, exitCode, signalCode));
    child.once('disconnect', () => this.#disconnected(worker));
    const channel = channelOf(child);
    if (!channel) return;
    channel.oncontrol = (message, fd) => {
      if (fd >= 0) native.close(fd);
      if (typeof message?.act === 'string' && Object.hasOwn(this.#acts, message.act))
        this.#acts[message.act](worker, message);
    };
    channel.onbroken = reason => this.#broken(worker, reason);
  }

  #exited(worker, exitCode, signalCode) {
    const cluster = this.#cluster;
    this.#telemetry?.exited(worker, exitCode, signalCode);
    // What it had not taken was taken back.
    this.#tellAcceptorEvents();
    this.#retiring.delete(worker.id);
    this.#departing.delete(worker.id);
    // One that is still connected is looked at by listeners of 'disconnect'.
    if (!worker.isConnected()) {
      this.#listeners.remove(worker);
      delete cluster.workers[worker.id];
    }
    worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
    worker.state = 'dead';
    debug(`Worker ${worker.process.pid} exited with ${signalCode ?? exitCode}`);
    publish('exit', () => ({ worker, code: exitCode, signal: signalCode }));
    this.#tell(worker, 'exit', exitCode, signalCode);
  }

  #disconnected(worker) {
    this.#listeners.remove(worker);
    if (worker.isDead()) delete this.#cluster.workers[worker.id];
    worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
    worker.state = 'disconnected';
    debug(`Worker ${worker.process.pid} disconnected`);
    publish('disconnect', () => ({ worker }));
    this.#tell(worker, 'disconnect');
  }

  /** What a worker can ask for. */
  #acts = {
    online: worker => this.#online(worker),
    queryServer: (worker, message) => this.#queryServer(worker, message),
    listening: (worker, message) => this.#listening(worker, message),
    close: (worker, { key }) => this.#listeners.close(worker, key),
    leave: worker => this.#retire(worker),
    joinBus: (worker, message) => this.#joinBus(worker, message),
    exitedAfterDisconnect: (worker, message) => {
      worker.exitedAfterDisconnect = true;
      channelOf(worker.process).answer(message, {});
    },
  };

  #online(worker) {
    worker.state = 'online';
    this.#telemetry?.online(worker);
    debug(`Worker ${worker.process.pid} online`);
    publish('online', () => ({ worker }));
    this.#tell(worker, 'online');
  }

  #joinBus(worker, message) {
    const channel = channelOf(worker.process);
    let hub;
    try {
      hub = require('../bus/hub');
    } catch (error) {
      // No descriptor is left to read it with, or the package was replaced under us.
      channel.answer(message, { failed: error.message.split('\n')[0], code: error.code });
      return;
    }
    hub.joinWorker(worker, channel, message);
  }

  #queryServer(worker, message) {
    // One that is leaving gets nothing to listen on.
    if (worker.exitedAfterDisconnect || this.#leaving.has(worker)) return;
    const { reply, fd, add, drop } = this.#listeners.query(worker, message);
    // Its first connection comes after the answer.
    if (channelOf(worker.process).answer(message, reply, fd)) add();
    else drop();
  }

  #listening(worker, { addressType, address, port, fd }) {
    const info = { addressType, address, port, fd };
    worker.state = 'listening';
    this.#telemetry?.listening(worker);
    debug.quiet(`Worker ${worker.process.pid} listening on ${place({ address, port, fd })}`);
    publish('listening', () => ({ worker, address: info }));
    this.#tell(worker, 'listening', info);
  }

  /** Tells the worker's listeners, and the cluster's. */
  #tell(worker, event, ...details) {
    inAnyCase(
      () => worker.emit(event, ...details),
      () => this.#cluster.emit(event, worker, ...details),
    );
  }

  disconnectAll(callback) {
    const connected = Object.values(this.#cluster.workers).filter(worker => worker.isConnected());
    let left = connected.length;
    if (typeof callback === 'function') {
      // The documentation's promise: called when all have disconnected.
      if (left === 0) process.nextTick(callback);
      // Also if a listener of 'disconnect' throws.
      const disconnected = () => --left === 0 && process.nextTick(callback);
      for (const worker of connected) worker.process.prependOnceListener('disconnect', disconnected);
    }
    for (const worker of connected) worker.disconnect();
  }

  disconnect(worker) {
    if (!this.#leaving.has(worker)) debug.quiet(`Worker ${worker.process.pid} asked to disconnect`);
    worker.exitedAfterDisconnect = true;
    delete this.#cluster.workers[worker.id];
    if (!worker.isDead()) this.#departing.set(worker.id, worker);
    this.#retire(worker);
  }

  /** Has a worker leave. What others do not serve in its place is in its queue before it is told. */
  #retire(worker) {
    if (this.#leaving.has(worker)) return;
    this.#leaving.add(worker);
    this.#telemetry?.leaving(worker);
    this.#listeners?.retire(worker);
    this.#retiring.set(worker.id, worker);
    this.#tellToLeave(worker);
  }

  #tellToLeave(worker) {
    if (!worker || this.#acceptor?.hasAll(worker.id) === false) return;
    this.#retiring.delete(worker.id);
    channelOf(worker.process)?.sendControl({ act: 'disconnect' });
  }
}

/** Where a worker says it listens, as a person writes it. Nothing in the message is sure. */
function place({ address, port, fd }) {
  if (Number.isInteger(fd) && fd >= 0) return `descriptor ${fd}`;
  const host = typeof address === 'string' ? address : '*';
  if (!Number.isInteger(port) || port < 0) return host;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What is no array is refused later, by fork(). */
const hasArg = (execArgv, start) => Array.prototype.some.call(execArgv, arg => arg.startsWith(start));

const usesInspector = execArgv => {
  const inspector = /--inspect(?:-brk|-port)?|--debug-port/;
  return execArgv.some(arg => inspector.test(arg)) || inspector.test(process.env.NODE_OPTIONS);
};

let inspectPorts = 0;

/** The n-th worker's inspector has the primary's port + n, unless the user says which. */
function inspectPortFor(setting) {
  let port = typeof setting === 'function' ? setting() : setting;
  if (port == null) {
    port = process.debugPort + ++inspectPorts;
    if (port > 65535) port = port - 65535 + 1024 - 1;
  }
  const valid =
    (typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')) && +port >>> 0 === +port;
  if (!valid || port > 65535) throw errors.badPort(port);
  return port;
}

module.exports = install;
