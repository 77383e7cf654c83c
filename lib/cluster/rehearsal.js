'use strict';

// Goes through a worker's start in the primary, with the code of one, and with stand-ins for all that it would have an
// effect on. V8 compiles a function when it is first called, and its cache of a script has what is compiled by then: so
// workers find in it the functions that run at their start, and no others. (./start_of_workers)

const EventEmitter = require('node:events');

/** The kind of the cluster's own messages: see src/messages/frame.rs. */
const CONTROL = 3;

const nothing = () => 0;

class Process extends EventEmitter {
  env = {};
  versions = process.versions;
  nextTick = (callback, ...args) => callback(...args);
}

/** The addon, of which each channel hears what is `said`. */
function standIn(said) {
  class Channel {
    sender = () => nothing;
    partsSender = () => nothing;
    reader = () => () => said.shift() ?? 0;
    sendJson = nothing;
    ref = nothing;
    unref = nothing;

    constructor(_fd, onreadable) {
      said.onreadable = onreadable;
    }
  }
  class Intake {
    ref = nothing;
  }
  class Board {
    share = nothing;
  }
  return { Channel, Intake, Board };
}

/** What the modules of a worker see of the world; they load each other. */
function world(scripts) {
  const said = [];
  const cluster = {};
  const standIns = new Map([
    ['native', { load: () => standIn(said) }],
    ['node:cluster', cluster],
  ]);
  const process = new Process();
  const lastWord = file => file.slice(file.lastIndexOf('/') + 1);

  function load(request) {
    const name = lastWord(request);
    if (!standIns.has(name)) {
      const script = scripts.get(name);
      if (!script) return require(request);
      const module = { exports: {} };
      script.runInThisContext()(module.exports, load, module, process);
      standIns.set(name, module.exports);
    }
    return standIns.get(name);
  }

  return { load, said, cluster, process };
}

/**
 * Starts a worker and has it listen.
 * @param {Map<string, import('node:vm').Script>} scripts of the modules of a worker, by the last word of their names
 */
function rehearse(scripts) {
  const { load, said, cluster, process } = world(scripts);
  const fd = 0;
  load('become_worker')({ id: 1, slot: 0, serialization: 'json', channel: fd, handoff: fd, board: fd });
  const server = Object.assign(new EventEmitter(), { address: nothing });
  process.on('message', nothing);
  cluster._getServer(server, { address: null, port: 0, addressType: 4, fd: -1 }, (_error, handle) => {
    handle.getsockname({});
    handle.listen();
  });
  said.push({ kind: CONTROL, json: '[{"ack":1,"key":"","listener":1,"kind":0,"sockname":{}}]', fd: -1 });
  said.onreadable();
  server.emit('listening');
  process.send('');
}

module.exports = rehearse;
