'use strict';

// Sockets of a server that were sent to another process: the server's getConnections() and close() ask there.

const EventEmitter = require('node:events');

const errors = require('../errors');

/** In the process that sent them. `net.Server` asks it. */
class SocketListSend extends EventEmitter {
  constructor(child, key) {
    super();
    this.key = key;
    this.child = child;
    child.once('exit', () => this.emit('exit', this));
  }

  #request(cmd, reply, swallowErrors, callback) {
    const { child, key } = this;
    const finish = (error, message) => {
      child.removeListener('disconnect', onclose);
      child.removeListener('internalMessage', onreply);
      callback(error, message);
    };
    const onclose = () => finish(errors.childClosedBeforeReply());
    const onreply = message => {
      if (message.cmd === reply && message.key === key) finish(null, message);
    };
    if (!child.connected) {
      callback(errors.childClosedBeforeReply());
      return;
    }
    child.once('disconnect', onclose);
    child.on('internalMessage', onreply);
    child._send({ cmd, key }, undefined, swallowErrors);
  }

  close(callback) {
    this.#request('NODE_SOCKET_NOTIFY_CLOSE', 'NODE_SOCKET_ALL_CLOSED', true, callback);
  }

  getConnections(callback) {
    this.#request('NODE_SOCKET_GET_COUNT', 'NODE_SOCKET_COUNT', false, (error, message) => {
      if (error) callback(error);
      else callback(null, message.count);
    });
  }
}

/** In the process that received them. */
class SocketListReceive extends EventEmitter {
  connections = 0;

  constructor(child, key) {
    super();
    this.key = key;
    this.child = child;
    const reply = message => {
      if (child.connected) child._send({ ...message, key }, undefined, true);
    };
    const onempty = () => reply({ cmd: 'NODE_SOCKET_ALL_CLOSED' });
    child.on('internalMessage', message => {
      if (message.key !== key) return;
      if (message.cmd === 'NODE_SOCKET_NOTIFY_CLOSE') {
        if (this.connections === 0) onempty();
        else this.once('empty', onempty);
      } else if (message.cmd === 'NODE_SOCKET_GET_COUNT') {
        reply({ cmd: 'NODE_SOCKET_COUNT', count: this.connections });
      }
    });
  }

  add({ socket }) {
    this.connections++;
    socket.once('close', () => {
      this.connections--;
      if (this.connections === 0) this.emit('empty', this);
    });
  }
}

module.exports = { SocketListSend, SocketListReceive };
