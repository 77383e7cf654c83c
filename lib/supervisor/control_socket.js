'use strict';

// The Unix socket of a supervisor, by which `rust-cluster ps`, `reload`, `scale` and `stop` talk to it. A client sends
// one line of JSON, { command }, and gets lines: any number of { report }, then one { done, ok, result or error }.

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const errors = require('../errors');
const { load } = require('../native');

/** The longest command. */
const LONGEST = 64 * 1024;
/** How long a client may take to send it. */
const PATIENCE = 10_000;
/** Clients at once; more wait, or are turned away. */
const MOST = 64;
/** Bytes that may wait for a client that does not read. */
const MOST_WAITING = 2 ** 20;
/** How long an answer may take to arrive. */
const FAREWELL = 1000;

/** The folders in which a socket may lie, the best first. */
function folders() {
  const { XDG_RUNTIME_DIR } = process.env;
  const found = [path.join(os.tmpdir(), `rust-cluster-${process.geteuid()}`)];
  if (XDG_RUNTIME_DIR && path.isAbsolute(XDG_RUNTIME_DIR))
    found.unshift(path.join(XDG_RUNTIME_DIR, 'rust-cluster'));
  return found;
}

const fileOf = (folder, name) => path.join(folder, `${name}.sock`);

/** Where a supervisor says at which address its telemetry is: it is to be found while its JavaScript hangs, too. */
const telemetryFileOf = (folder, name) => path.join(folder, `${name}.telemetry`);

/** Makes a folder for nobody else, or sees that it is one. @throws if it is not */
function makePrivate(folder) {
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const { uid, mode } = fs.lstatSync(folder);
  const isDirectory = (mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR;
  if (!isDirectory) throw errors.noControl(folder, 'it is no folder');
  if (uid !== process.geteuid()) throw errors.noControl(folder, `it belongs to user ${uid}`);
  if (mode & 0o077) throw errors.noControl(folder, `others may use it (${(mode & 0o777).toString(8)})`);
}

/**
 * Takes the name of a supervisor: of two that want it, one gets it, and one that was killed has it no more.
 *
 * @param {string} name
 * @returns {Control}
 */
function open(name) {
  let failure;
  for (const folder of folders()) {
    try {
      makePrivate(folder);
      return new Control(name, fileOf(folder, name));
    } catch (error) {
      if (error.code === 'ERR_RUST_CLUSTER_NAME_TAKEN') throw error;
      failure =
        error.code === 'ERR_RUST_CLUSTER_NO_CONTROL' ? error : errors.noControl(folder, error.message);
    }
  }
  throw failure;
}

class Control {
  #handle;
  #server;
  #telemetryFile;
  #isClosed = false;
  #conversations = new Set();

  constructor(name, file) {
    const { SharedHandle } = load();
    this.#handle = new SharedHandle({ address: file, port: -1, addressType: '-1' });
    if (this.#handle.errno === -os.constants.errno.EADDRINUSE) throw errors.nameTaken(name, file);
    if (this.#handle.errno) throw errors.listen(this.#handle.errno, file);
    // Nobody else can have come between: the folder is private.
    fs.chmodSync(file, 0o600);
    this.file = file;
    this.#telemetryFile = telemetryFileOf(path.dirname(file), name);
    // Of one that was killed.
    this.#unannounce();
  }

  /** Says where the telemetry is. @param {import('../telemetry/client').Place} place */
  announce(place) {
    // Nobody finds it any more.
    if (this.#isClosed) return;
    const text = JSON.stringify({ pid: process.pid, ...place });
    try {
      fs.writeFileSync(this.#telemetryFile, text, { mode: 0o600 });
    } catch (error) {
      // The disk is full, or no descriptor is left: the workers serve all the same.
      process.emitWarning(errors.unannounced(this.#telemetryFile, error));
      this.#unannounce();
    }
  }

  /** What cannot be removed is replaced by the next supervisor of this name, or says nothing to whoever reads it. */
  #unannounce() {
    try {
      fs.rmSync(this.#telemetryFile, { force: true });
    } catch {
      // The file system is read-only, or it is no file.
    }
  }

  /** Clients that have connected since are served now. @param {(request: object, report: (report: object) => void) => Promise<any>} act */
  serve(act) {
    const server = net.createServer({ allowHalfOpen: true }, socket => {
      const conversation = new Conversation(socket, act);
      this.#conversations.add(conversation);
      socket.once('close', () => this.#conversations.delete(conversation));
    });
    server.maxConnections = MOST;
    // One that cannot be accepted sees its end.
    server.on('error', () => {});
    server.listen({ fd: load().duplicate(this.#handle.fd) });
    server.unref();
    this.#server = server;
  }

  /** Lets go of the name, and waits until those who were answered have it. */
  async close() {
    this.#isClosed = true;
    this.#unannounce();
    this.#handle.close();
    this.#server?.close();
    const closed = [...this.#conversations].map(conversation => conversation.closed);
    await Promise.race([Promise.all(closed), new Promise(resolve => setTimeout(resolve, FAREWELL))]);
  }
}

/** One client, and its command. Whatever it does, it is at worst not answered. */
class Conversation {
  #socket;
  #act;
  #said = '';
  #timer;

  constructor(socket, act) {
    this.#socket = socket;
    this.#act = act;
    this.closed = new Promise(resolve => socket.once('close', resolve));
    // It has gone: what it has asked for goes on.
    socket.on('error', () => {});
    const uid = load().peerUser(socket._handle.fd);
    if (uid !== process.geteuid() && uid !== 0) {
      socket.resume();
      this.#done({ error: errors.otherUser('client', uid) });
      return;
    }
    this.#timer = setTimeout(() => this.#refuse(`nothing within ${PATIENCE / 1000} s`), PATIENCE).unref();
    socket.setEncoding('utf8');
    socket.on('data', this.#hear);
    socket.once('end', this.#ended);
  }

  #hear = text => {
    this.#said += text;
    const end = this.#said.indexOf('\n');
    if (end === -1 ? this.#said.length > LONGEST : end > LONGEST)
      this.#refuse(`a line of more than ${LONGEST} bytes`);
    else if (end !== -1) this.#take(this.#said.slice(0, end));
  };

  #ended = () => this.#refuse('a line without an end');

  /** Hears no more. */
  #deafen() {
    clearTimeout(this.#timer);
    this.#said = '';
    this.#socket.off('data', this.#hear).off('end', this.#ended).resume();
  }

  #refuse(why) {
    this.#deafen();
    this.#done({ error: errors.badRequest(why) });
  }

  #take(text) {
    let request;
    try {
      request = JSON.parse(text);
    } catch {
      this.#refuse('it is no JSON');
      return;
    }
    this.#deafen();
    const report = told => this.#write({ report: told });
    this.#act(request, report).then(
      result => this.#done({ result }),
      error => this.#done({ error }),
    );
  }

  #write(message) {
    if (!this.#socket.writable) return;
    if (this.#socket.writableLength > MOST_WAITING) this.#socket.destroy();
    else this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #done({ error, result }) {
    const { code, message } = error ?? {};
    this.#write({ done: true, ok: !error, ...(error ? { error: { ...error, code, message } } : { result }) });
    this.#socket.end();
    // It may still be speaking: were it hung up on now, it would not hear the answer.
    const timer = setTimeout(() => this.#socket.destroy(), FAREWELL).unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }
}

module.exports = { open, folders, fileOf, telemetryFileOf };
