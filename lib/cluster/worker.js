'use strict';

// cluster.Worker: what the primary and the worker itself see of a worker. Each side adds its own
// disconnect() and destroy().

const EventEmitter = require('node:events');

function Worker(options) {
  if (!(this instanceof Worker)) return new Worker(options);
  EventEmitter.call(this);
  const { id, slot, process, state } = options !== null && typeof options === 'object' ? options : {};

  this.exitedAfterDisconnect = undefined;
  this.state = state || 'none';
  this.id = id | 0;
  // Hidden: programs print workers, and count their members.
  if (slot !== undefined) Object.defineProperty(this, 'slot', { value: slot, configurable: true });
  if (process) {
    this.process = process;
    process.on('error', (code, signal) => this.emit('error', code, signal));
    process.on('message', (message, handle) => this.emit('message', message, handle));
  }
}

Object.setPrototypeOf(Worker.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Worker, EventEmitter);

Worker.prototype.kill = function (...args) {
  this.destroy(...args);
};

Worker.prototype.send = function (...args) {
  return this.process.send(...args);
};

Worker.prototype.isDead = function () {
  return this.process.exitCode != null || this.process.signalCode != null;
};

Worker.prototype.isConnected = function () {
  return this.process.connected;
};

// The name that Node gave `exitedAfterDisconnect` before version 6.
Object.defineProperty(Worker.prototype, 'suicide', {
  configurable: true,
  get() {
    return this.exitedAfterDisconnect;
  },
  set(value) {
    this.exitedAfterDisconnect = value;
  },
});

module.exports = Worker;
