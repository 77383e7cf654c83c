'use strict';

// rust-cluster ps, reload, scale, stop: asks a supervisor of this user, by its control socket. top: finds where to ask.

const fs = require('node:fs');
const net = require('node:net');
const readline = require('node:readline');
const errors = require('../errors');
const { load } = require('../native');
const { folders, fileOf, telemetryFileOf } = require('./control_socket');

/** Nobody listens there any more. */
const GONE = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'];

/** @returns {Promise<net.Socket | undefined>} undefined: there is no supervisor of that name in that folder */
function connect(file) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(file);
    socket.once('error', error => (GONE.includes(error.code) ? resolve(undefined) : reject(error)));
    socket.once('connect', () => {
      const uid = load().peerUser(socket._handle.fd);
      if (uid === process.geteuid() || process.geteuid() === 0) return resolve(socket);
      socket.destroy();
      return reject(errors.otherUser('owner', uid));
    });
  });
}

/**
 * Asks one supervisor.
 *
 * @param {string} name
 * @param {{ command: string }} request
 * @param {(line: { report?: object, done?: boolean }) => void} [hear] every line of the answer
 * @returns {Promise<any>} the result
 */
async function ask(name, request, hear = () => {}) {
  for (const folder of folders()) {
    const socket = await connect(fileOf(folder, name));
    if (socket) return converse(socket, request, hear);
  }
  throw errors.notRunning(name, await running());
}

async function converse(socket, request, hear) {
  let failure;
  socket.on('error', error => {
    failure = error;
  });
  socket.write(`${JSON.stringify(request)}\n`);
  for await (const text of readline.createInterface({ input: socket })) {
    const line = JSON.parse(text);
    hear(line);
    if (!line.done) continue;
    socket.destroy();
    if (line.ok) return line.result;
    throw errors.ofSupervisor(line.error);
  }
  throw errors.controlLost(request.command, failure?.code ?? 'it has closed the socket');
}

/** The names of all supervisors of this user that run. */
async function running() {
  const names = new Set();
  for (const folder of folders()) {
    for (const entry of list(folder)) {
      const name = entry.match(/^(.*)\.sock$/)?.[1];
      const socket = name && (await connect(fileOf(folder, name)).catch(() => undefined));
      if (socket) names.add(name);
      socket?.destroy();
    }
  }
  return [...names].sort();
}

/**
 * Where the telemetry of a supervisor is, as it has said.
 * @param {string} name
 * @returns {(import('../telemetry/client').Place & { pid: number }) | undefined}
 */
function telemetryOf(name) {
  for (const folder of folders()) {
    try {
      return JSON.parse(fs.readFileSync(telemetryFileOf(folder, name), 'utf8'));
    } catch {
      // Not here.
    }
  }
}

/** The names of all supervisors of this user that have said where their telemetry is. */
function withTelemetry() {
  const found = folders().flatMap(folder => list(folder).map(entry => entry.match(/^(.*)\.telemetry$/)?.[1]));
  return [...new Set(found.filter(Boolean))].sort();
}

function list(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    // None has run yet.
    return [];
  }
}

module.exports = { ask, running, telemetryOf, withTelemetry };
