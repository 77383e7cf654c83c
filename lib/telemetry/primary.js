'use strict';

// What the primary's JavaScript tells the thread that answers (src/telemetry/): what only JavaScript knows, when it
// changes. The thread never asks. Loaded where the setting `telemetry` is.

const errors = require('../errors');
const native = require('../native').load();
const { channelOf } = require('../channel/setup_channel');
const { nativeOf } = require('../cluster/worker_process');
const { telemetrySetting, textOf } = require('./setting');

/** How often it is tried again to listen where somebody else does, in milliseconds. */
const RETRY = 5000;

/** That of this process, once there is one. */
let current;

/** Who is to be told where it listens. @type {((address: object | string) => void)[]} */
const waiting = [];

/** Whether a supervisor says when a worker is ready: it is not once it listens. */
let awaitsWord = false;

class Telemetry {
  #native;
  #setting;
  #acceptor;
  #address = null;

  constructor(setting, acceptor) {
    this.#setting = setting;
    this.#acceptor = acceptor;
    const { hosts, path } = this.#setting;
    const page = require('./page').assets();
    const options = { hosts, page, node: process.versions.node };
    this.#native = new native.Telemetry(options, () => this.#warn());
    require('../bus/hub').whenStarted(hub => this.#native.setBus(hub));
    current = this;
    if (path !== undefined) process.once('exit', () => this.#native.close());
    this.#listen(true);
  }

  /** Where somebody else listens, perhaps the program before this one, the cluster serves all the same. */
  #listen(isFirst) {
    const { path, host, port } = this.#setting;
    const query = path === undefined ? { address: host, port } : { address: path, port: -1 };
    try {
      this.#address = this.#native.listen(query) ?? path;
    } catch (error) {
      if (isFirst) process.emitWarning(errors.noTelemetry(textOf(this.#setting), error));
      setTimeout(() => this.#listen(false), RETRY).unref();
      return;
    }
    for (const tell of waiting.splice(0)) tell(this.#address);
  }

  /** Of each slot once: it comes again and again. */
  #warn() {
    for (let notice = this.#native.nextNotice(); notice; notice = this.#native.nextNotice())
      process.emitWarning(errors.metricsLeftOut(notice));
  }

  get address() {
    return this.#address;
  }

  forked(worker) {
    const handle = nativeOf(worker);
    if (!handle || worker.process.pid === undefined) return;
    this.#native.forked(worker.id, worker.slot, handle, channelOf(worker.process)?.native, this.#acceptor);
  }

  /** What it publishes its own metrics by. Without descriptors there are none of this worker. */
  online(worker) {
    const channel = channelOf(worker.process);
    // Of one that was quick to end both may be known at once, its end first.
    if (!channel || worker.isDead()) return;
    let given;
    try {
      given = this.#native.collect(worker.id, worker.slot);
    } catch {
      return;
    }
    for (const [part, fd] of Object.entries(given)) {
      channel.sendControl({ act: 'collect', part }, fd);
      native.close(fd);
    }
  }

  listening(worker) {
    if (!awaitsWord) this.ready(worker.id);
  }

  ready(id) {
    this.#native.setState(id, 'ready');
  }

  leaving(worker) {
    this.#native.setState(worker.id, 'draining');
  }

  exited(worker, code, signal) {
    this.#native.exited(worker.id, causeOf(worker, code, signal));
  }

  reloading(done, of) {
    this.#native.reloaded(true, done, of);
  }

  reloaded(done, of) {
    this.#native.reloaded(false, done, of);
  }

  stopping() {
    this.#native.stopping();
  }
}

/**
 * @param {unknown} given as the user has set it
 * @param {object | undefined} acceptor
 * @returns {Telemetry | undefined} none where descriptors or memory are missing: the next fork tries again
 */
function start(given, acceptor) {
  const setting = telemetrySetting(given);
  try {
    return new Telemetry(setting, acceptor);
  } catch (error) {
    process.emitWarning(errors.noTelemetry(textOf(setting), error));
    return undefined;
  }
}

/** A label's value: there are not many. A supervisor ends by SIGTERM what has left, and does not end by itself. */
function causeOf({ exitedAfterDisconnect }, code, signal) {
  if (exitedAfterDisconnect && (signal === 'SIGTERM' || code === 0)) return 'asked';
  return signal ?? (code === 0 ? 'exit' : 'crash');
}

/** A supervisor says which worker is ready, how far a reload has come, and that all are to end. */
function follow(supervisor, { waitReady }) {
  let reload;
  awaitsWord = waitReady;
  supervisor.on('report', ({ event, worker, slots, replaced }) => {
    if (event === 'ready') {
      current?.ready(worker);
      if (reload) current?.reloading(Math.min(++reload.done, reload.of), reload.of);
    } else if (event === 'reload-started') {
      reload = { done: 0, of: slots };
      current?.reloading(0, slots);
    } else if (event === 'reload-done' || event === 'reload-failed') {
      current?.reloaded(replaced ?? reload?.done ?? 0, reload?.of ?? 0);
      reload = undefined;
    } else if (event === 'stopping') current?.stopping();
  });
}

const address = () => current?.address ?? null;

/** Tells where it listens, as soon as it does: it may have to wait for its address. */
function whenListening(tell) {
  if (address() === null) waiting.push(tell);
  else tell(address());
}

module.exports = { start, follow, address, whenListening };
