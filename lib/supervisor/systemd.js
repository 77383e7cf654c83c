'use strict';

// The service manager above us: the sockets that it has opened, and what it wants to hear. Loaded where its environment
// variables are.

const errors = require('../errors');
const native = require('../native').load();

/** What it says to this process alone. Workers, which would answer for the whole service, are not to see it. */
const { NOTIFY_SOCKET } = process.env;
const watchdogPeriod = native.watchdogPeriod();
for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete process.env[name];

/**
 * From now on a worker that listens on the address of a socket that this process was given gets that one, and so does
 * one that listens on the path `systemd:NAME`.
 * @returns {{ fd: number, name: string, kind: 'tcp' | 'pipe' | 'udp', address: string, used: boolean }[]}
 * @throws ERR_RUST_CLUSTER_BAD_LISTEN_FDS
 */
function inheritSockets() {
  try {
    native.inheritSockets();
  } catch (error) {
    throw errors.badListenFds(error);
  }
  return native.inheritedSockets();
}

/** The sockets on which nobody listens: what clients connect there waits, perhaps for ever. */
const unusedSockets = () => native.inheritedSockets().filter(({ used }) => !used);

/**
 * Tells the service manager what becomes of a supervisor.
 * @param {import('./supervise').Supervisor} supervisor
 */
function notify(supervisor) {
  if (NOTIFY_SOCKET) new Notifier(supervisor, NOTIFY_SOCKET);
}

/** How often the manager hears from us, in parts of the time after which it gives up. */
const BEATS = 3;

class Notifier {
  #supervisor;
  #socket;
  #failed = false;
  #stopping = false;

  constructor(supervisor, socket) {
    this.#supervisor = supervisor;
    this.#socket = socket;
    supervisor.on('report', report => this.#onreport(report));
    // A timer of this loop: it is silent when the loop is stuck.
    if (watchdogPeriod) setInterval(() => this.#beat(), watchdogPeriod / BEATS).unref();
  }

  #onreport({ event, slot, why }) {
    if (this.#stopping) return;
    if (event === 'all-ready') this.#tell('ready', this.#status());
    else if (event === 'reload-started') this.#tell('reloading', 'reloading');
    else if (event === 'reload-done') this.#tell('ready', this.#status());
    else if (event === 'reload-failed')
      this.#tell('ready', `${this.#status()}; the reload failed in slot ${slot}: ${why}`);
    else if (event === 'stopping') {
      this.#stopping = true;
      this.#tell('stopping', 'stopping');
    } else if (event === 'ready' || event === 'exited') this.#tell('unchanged', this.#status());
  }

  #ready() {
    return this.#supervisor.status().workers.filter(({ state }) => state === 'ready').length;
  }

  #status() {
    return `${this.#ready()} of ${this.#supervisor.status().wanted} workers ready`;
  }

  /** The manager restarts a service of which it does not hear: also one of which no worker serves. */
  #beat() {
    if (this.#stopping || this.#ready() > 0) this.#tell('watchdog');
  }

  /** One that does not hear us is no reason to end: it is told once. */
  #tell(state, status) {
    try {
      native.notifyServiceManager(this.#socket, state, status);
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) process.emitWarning(errors.unnotified(this.#socket, error));
      this.#failed = true;
    }
  }
}

module.exports = { inheritSockets, notify, unusedSockets };
