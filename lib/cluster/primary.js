'use strict';

// The cluster object of the primary.

const debug = require('../debug');
const errors = require('../errors');
const Listeners = require('./listeners');
const native = require('../native').load();
const { ownSettings } = require('./settings');
const Worker = require('./worker');
const { channelOf } = require('../channel/setup_channel');
const { forkWorker } = require('./worker_process');

const SCHED_NONE = 1;
const SCHED_RR = 2;

/**
 * Makes `cluster` the cluster object of a primary.
 * @param {import('node:cluster').Cluster} cluster Node's own object, in place
 */
function install(cluster) {
  let ids = 0;
  let initialized = false;
  let acceptor;
  let listeners;
  /** Workers that are to leave: telling them once is enough (node#32793). */
  const leaving = new WeakSet();
  /** Those among them, by id, whose queue has no room yet for all that is theirs. */
  const retiring = new Map();

  cluster.isWorker = false;
  cluster.isMaster = true;
  cluster.isPrimary = true;
  cluster.Worker = Worker;
  cluster.workers = {};
  cluster.settings = {};
  cluster.SCHED_NONE = SCHED_NONE;
  cluster.SCHED_RR = SCHED_RR;
  cluster.schedulingPolicy = process.env.NODE_CLUSTER_SCHED_POLICY === 'none' ? SCHED_NONE : SCHED_RR;

  cluster.setupPrimary = options => {
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
    if (!initialized) initialize();
    process.nextTick(() => cluster.emit('setup', settings));
  };
  cluster.setupMaster = cluster.setupPrimary;

  function initialize() {
    initialized = true;
    const { schedulingPolicy } = cluster;
    if (schedulingPolicy !== SCHED_NONE && schedulingPolicy !== SCHED_RR) {
      throw errors.badSchedulingPolicy(schedulingPolicy);
    }
    if (schedulingPolicy === SCHED_RR) acceptor = new native.Acceptor(tellAcceptorEvents);
    listeners = new Listeners(acceptor);
    process.on('internalMessage', debugWorkers);
  }

  /** SIGUSR1 woke our inspector: wake the workers' too. */
  function debugWorkers({ cmd }) {
    if (cmd !== 'NODE_DEBUG_ENABLED') return;
    for (const worker of Object.values(cluster.workers)) {
      if (worker.state === 'online' || worker.state === 'listening')
        process._debugProcess(worker.process.pid);
      else worker.once('online', () => process._debugProcess(worker.process.pid));
    }
  }

  function tellAcceptorEvents() {
    for (let event = acceptor.nextEvent(); event; event = acceptor.nextEvent()) {
      const { kind, worker: id, code, message } = event;
      const worker = cluster.workers[id] ?? retiring.get(id);
      if (kind === 'broken' && worker) broken(worker, { code, message });
      else if (kind === 'starved') process.emitWarning(errors.starved(message));
      else if (kind === 'hasAll') tellToLeave(retiring.get(id));
      else if (worker) debug(`Worker ${worker.process.pid} ${kind}`);
    }
  }

  /** A worker that does not speak our protocol, or does not listen, is heard no more. */
  function broken(worker, reason) {
    const error = errors.brokenWorker(worker, reason);
    listeners.remove(worker);
    if (worker.process.connected) worker.process.disconnect();
    // Where nobody listens the others go on all the same. (One listener is Worker's own.)
    const heard = worker.listenerCount('error') > 0 || worker.process.listenerCount('error') > 1;
    if (heard) worker.process.emit('error', error);
    else process.emitWarning(error);
  }

  cluster.fork = env => {
    cluster.setupPrimary();
    const id = ++ids;
    const worker = new Worker({ id, process: createWorkerProcess(id, env) });
    const { process: child } = worker;
    worker.on('message', function (message, handle) {
      cluster.emit('message', this, message, handle);
    });

    child.once('exit', (exitCode, signalCode) => {
      acceptor?.removeWorker(id);
      retiring.delete(id);
      // One that is still connected is looked at by listeners of 'disconnect'.
      if (!worker.isConnected()) {
        listeners.remove(worker);
        delete cluster.workers[id];
      }
      worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
      worker.state = 'dead';
      debug(`Worker ${child.pid} exited with ${signalCode ?? exitCode}`);
      worker.emit('exit', exitCode, signalCode);
      cluster.emit('exit', worker, exitCode, signalCode);
    });

    child.once('disconnect', () => {
      listeners.remove(worker);
      if (worker.isDead()) delete cluster.workers[id];
      worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
      worker.state = 'disconnected';
      debug(`Worker ${child.pid} disconnected`);
      worker.emit('disconnect');
      cluster.emit('disconnect', worker);
    });

    const channel = channelOf(child);
    if (channel) {
      channel.oncontrol = (message, fd) => {
        if (fd >= 0) native.close(fd);
        if (typeof message?.act === 'string' && Object.hasOwn(acts, message.act))
          acts[message.act](worker, message);
      };
      channel.onbroken = reason => broken(worker, reason);
    }
    debug.quiet(`Worker ${child.pid} forked, as worker ${id}: ${cluster.settings.exec}`);
    process.nextTick(() => cluster.emit('fork', worker));
    cluster.workers[id] = worker;
    return worker;
  };

  function createWorkerProcess(id, env) {
    const { exec, args, inspectPort, ...settings } = cluster.settings;
    if (inspectPort === null) throw errors.badPort(null);
    const execArgv = [...settings.execArgv];
    if (usesInspector(execArgv)) execArgv.push(`--inspect-port=${inspectPortFor(inspectPort)}`);
    return forkWorker({
      id,
      acceptor,
      exec,
      args,
      own: ownSettings(settings),
      options: { ...settings, execArgv, env: { ...process.env, ...env } },
    });
  }

  /** What a worker can ask for. */
  const acts = {
    online(worker) {
      worker.state = 'online';
      debug(`Worker ${worker.process.pid} online`);
      worker.emit('online');
      cluster.emit('online', worker);
    },

    queryServer(worker, message) {
      // One that is leaving gets nothing to listen on.
      if (worker.exitedAfterDisconnect || leaving.has(worker)) return;
      const { reply, fd, add } = listeners.query(worker, message);
      channelOf(worker.process).answer(message, reply, fd);
      // Its first connection comes after the answer.
      add();
    },

    listening(worker, { addressType, address, port, fd }) {
      const info = { addressType, address, port, fd };
      worker.state = 'listening';
      debug.quiet(`Worker ${worker.process.pid} listening on ${place({ address, port, fd })}`);
      worker.emit('listening', info);
      cluster.emit('listening', worker, info);
    },

    close(worker, { key }) {
      listeners.close(worker, key);
    },

    leave: retire,

    exitedAfterDisconnect(worker, message) {
      worker.exitedAfterDisconnect = true;
      channelOf(worker.process).answer(message, {});
    },
  };

  cluster.disconnect = callback => {
    const connected = Object.values(cluster.workers).filter(worker => worker.isConnected());
    let left = connected.length;
    if (typeof callback === 'function') {
      // The documentation's promise: called when all have disconnected.
      if (left === 0) process.nextTick(callback);
      for (const worker of connected) worker.process.once('disconnect', () => --left === 0 && callback());
    }
    for (const worker of connected) worker.disconnect();
  };

  Worker.prototype.disconnect = function () {
    if (!leaving.has(this)) debug.quiet(`Worker ${this.process.pid} asked to disconnect`);
    this.exitedAfterDisconnect = true;
    retire(this);
    delete cluster.workers[this.id];
    return this;
  };

  /** Has a worker leave. What others do not serve in its place is in its queue before it is told. */
  function retire(worker) {
    if (leaving.has(worker)) return;
    leaving.add(worker);
    listeners?.retire(worker);
    retiring.set(worker.id, worker);
    tellToLeave(worker);
  }

  function tellToLeave(worker) {
    if (!worker || acceptor?.hasAll(worker.id) === false) return;
    retiring.delete(worker.id);
    channelOf(worker.process)?.sendControl({ act: 'disconnect' });
  }

  Worker.prototype.destroy = function (signal) {
    this.process.kill(signal || 'SIGTERM');
  };
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
