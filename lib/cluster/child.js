'use strict';

// The cluster object of a worker.

const path = require('node:path');

const { STARVED_PAUSE, withHandles } = require('../channel/channel');
const native = require('../native').load();
const Worker = require('./worker');

/** Node 20 takes a maxConnections of 0 for no limit, later versions for none allowed. */
const ZERO_IS_NO_LIMIT = Number.parseInt(process.versions.node, 10) < 22;

/**
 * Makes `cluster` the cluster object of a worker.
 * @param {import('node:cluster').Cluster} cluster Node's own object, in place
 * @param {object} identity
 * @param {number} identity.id
 * @param {import('../channel/channel').Channel} identity.channel
 * @param {number} identity.handoff the descriptor of the intake, -1 for none
 */
function install(cluster, { id, channel, handoff }) {
  /** The open handles, and the server or socket that each belongs to. */
  const handles = new Map();
  /** Round-robin handles by the number of their listener. */
  const byListener = new Map();
  /** For each address, the places of the listen calls that are in use. */
  const indexes = new Map();

  const worker = new Worker({ id, process, state: 'online' });
  channel.oncontrol = (message, fd) => {
    if (fd >= 0) native.close(fd);
    if (message?.act === 'disconnect') disconnect(worker.state !== 'disconnecting');
  };

  for (const member of ['fork', 'setupPrimary', 'setupMaster', 'disconnect', 'workers', 'settings'])
    delete cluster[member];
  for (const member of ['SCHED_NONE', 'SCHED_RR', 'schedulingPolicy']) delete cluster[member];
  cluster.isWorker = true;
  cluster.isMaster = false;
  cluster.isPrimary = false;
  cluster.worker = worker;
  cluster.Worker = Worker;

  process.once('disconnect', () => {
    worker.emit('disconnect');
    // The primary is gone: nobody hands us connections any more.
    if (!worker.exitedAfterDisconnect) process.exit(0);
  });

  const intake = handoff >= 0 ? new native.Intake(handoff, onconnection) : undefined;
  let references = 0;

  /** A connection, straight from the primary's acceptor. */
  function onconnection(listener, fd) {
    if (fd < 0) {
      setTimeout(() => intake.resume(), STARVED_PAUSE).unref();
      return;
    }
    const kind = byListener.get(listener)?.kind ?? native.descriptorKind(fd);
    withHandles(({ open }) => serve(listener, open(kind, fd), fd));
  }

  function serve(listener, handle, fd) {
    const entry = byListener.get(listener);
    // Node's message of a new connection, for those who listen to it.
    if (process.listenerCount('internalMessage') > 0) {
      process.emit('internalMessage', { cmd: 'NODE_CLUSTER', act: 'newconn', key: entry?.key }, handle);
    }
    if (byListener.has(listener) && !isFull(entry.server)) {
      entry.handle.onconnection(0, handle);
    } else {
      intake.giveBack(listener, fd);
      handle.close();
    }
  }

  /** Called by net.Server and dgram.Socket to listen. */
  cluster._getServer = (server, options, callback) => {
    let { address } = options;
    if (options.port < 0 && typeof address === 'string') address = path.resolve(address);
    const place = takePlace([address, options.port, options.addressType, options.fd].join(':'));
    const message = { act: 'queryServer', index: place.index, data: null, ...options, address };
    if (server._getServerData) message.data = server._getServerData();

    channel.ask(message, (reply, fd) => {
      if (typeof server._setServerData === 'function') server._setServerData(reply.data);
      if (reply.errno) {
        place.free();
        callback(reply.errno, null);
      } else if (fd >= 0) {
        withHandles(({ open }) => callback(0, share(reply.key, open(reply.kind, fd), server, place)));
      } else {
        callback(0, roundRobin(reply, server, place));
      }
    });

    server.once('listening', () => {
      // One that was closed at once is not listening.
      if (!place.taken) return;
      worker.state = 'listening';
      const port = server.address()?.port || options.port;
      channel.sendControl({ ...message, act: 'listening', port });
    });
  };

  function takePlace(key) {
    const used = indexes.get(key) ?? { next: 0, places: new Set() };
    indexes.set(key, used);
    const index = used.next++;
    used.places.add(index);
    const place = {
      index,
      taken: true,
      free() {
        place.taken = false;
        used.places.delete(index);
        if (used.places.size === 0 && indexes.get(key) === used) indexes.delete(key);
      },
    };
    return place;
  }

  /** The handle of a socket that all workers share: Node's own, told to say when it closes. */
  function share(key, handle, server, place) {
    const { close } = handle;
    handle.close = (...args) => {
      if (handles.delete(handle)) {
        place.free();
        channel.sendControl({ act: 'close', key });
      }
      return close.apply(handle, args);
    };
    handles.set(handle, server);
    return handle;
  }

  /** The handle of a server whose connections the primary accepts. */
  function roundRobin({ key, listener, kind, sockname }, server, place) {
    let referenced = false;
    const handle = {
      listen: () => 0,

      close() {
        if (!handles.delete(handle)) return;
        handle.unref();
        byListener.delete(listener);
        place.free();
        channel.sendControl({ act: 'close', key });
      },

      ref() {
        if (!referenced && references++ === 0) intake.ref();
        referenced = true;
      },

      unref() {
        if (referenced && --references === 0) intake.unref();
        referenced = false;
      },
    };
    if (sockname) {
      // With its name: console.log(server) shows it.
      const getsockname = out => {
        Object.assign(out, sockname);
        return 0;
      };
      handle.getsockname = getsockname;
    }
    handle.ref();
    handles.set(handle, server);
    byListener.set(listener, { key, handle, server, kind });
    return handle;
  }

  /** Closes all servers, then the channel. What the primary has given us is served first. */
  function disconnect(askedByPrimary) {
    worker.exitedAfterDisconnect = true;
    if (intake?.drain() === false) {
      setTimeout(disconnect, STARVED_PAUSE, askedByPrimary);
      return;
    }
    let left = 1;
    const closed = () => {
      if (--left > 0) return;
      // The primary must know that it is wanted before it sees the channel end.
      if (askedByPrimary) leave();
      else announceAndLeave();
    };
    for (const server of handles.values()) {
      left++;
      server.close(closed);
    }
    closed();
  }

  let announced = false;

  function announceAndLeave() {
    if (!announced) channel.ask({ act: 'exitedAfterDisconnect' }, leave);
    announced = true;
  }

  function leave() {
    if (process.connected) process.disconnect();
  }

  Worker.prototype.disconnect = function () {
    if (this.state !== 'disconnecting' && this.state !== 'destroying') {
      this.state = 'disconnecting';
      this.exitedAfterDisconnect = true;
      // The primary says when all that is ours is in our queue.
      if (byListener.size > 0 && this.isConnected()) channel.sendControl({ act: 'leave' });
      else disconnect(false);
    }
    return this;
  };

  Worker.prototype.destroy = function () {
    if (this.state === 'destroying') return;
    this.exitedAfterDisconnect = true;
    if (!this.isConnected()) {
      process.exit(0);
    }
    this.state = 'destroying';
    announceAndLeave();
    process.once('disconnect', () => process.exit(0));
  };

  channel.sendControl({ act: 'online' });
}

/** Whether a server takes no connection now: another worker may. One that drops by itself gets it. */
function isFull({ maxConnections, _connections, dropMaxConnection }) {
  if (maxConnections == null || (maxConnections === 0 && ZERO_IS_NO_LIMIT)) return false;
  return _connections >= maxConnections && !dropMaxConnection;
}

module.exports = install;
