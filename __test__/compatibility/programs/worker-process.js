'use strict';

// What a worker's process is like, from both ends. STARTED_BY says how it is started: by child_process.fork(),
// or as a worker of a cluster; all that is said here should not depend on it.

const childProcess = require('node:child_process');
const fs = require('node:fs');
const { say } = require('../../support/cases');
const { descriptors } = require('../../support/descriptors');

const { STARTED_BY } = process.env;
const cluster = STARTED_BY === 'cluster' ? require('rust-cluster') : undefined;

/** So many messages of 100 kB are more than lies in shared memory, and than a socket holds. */
const MANY = 60;

/** Starts this file again, as a child that plays `role`. */
function start(role, { env, ...options } = {}) {
  const all = { execArgv: ['--no-deprecation'], ...options };
  if (STARTED_BY === 'fork')
    return childProcess.fork(__filename, [role], { ...all, env: { ...process.env, ...env } });
  // A setting that is not given here must not stay from the fork before.
  const none = { cwd: undefined, silent: false, stdio: undefined, serialization: undefined };
  cluster.setupPrimary({ args: [role], ...none, ...all });
  const worker = cluster.fork(env);
  // A Worker's 'error' without listener would throw.
  worker.on('error', () => {});
  return worker.process;
}

/** Names and types of an object's members, own or inherited. */
function members(object) {
  const found = {};
  for (let at = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    // An EventEmitter is what it is.
    if (at === require('node:events').prototype) break;
    for (const key of Reflect.ownKeys(at)) {
      // Symbols that nobody outside can name are nobody's business.
      if (typeof key === 'symbol' && key !== Symbol.dispose && key !== Symbol.for('nodejs.dispose')) continue;
      const name = String(key);
      if (name.startsWith('_events') || name === '_maxListeners' || name === 'constructor') continue;
      const { value, get, enumerable } = Object.getOwnPropertyDescriptor(at, key);
      const kind = get ? 'accessor' : value === null ? 'null' : typeof value;
      found[name] ??=
        `${kind}${kind === 'function' ? `(${value.length})` : ''}${enumerable ? '' : ' hidden'}`;
    }
  }
  return found;
}

/** What can be said of an event's arguments. */
const shown = arg => {
  if (arg instanceof Error) {
    const { name, code, errno, syscall, path, spawnargs, message } = arg;
    return {
      name,
      code,
      errno,
      syscall: syscall?.replace(process.execPath, 'node'),
      path: path?.replace(process.execPath, 'node'),
      spawnargs: spawnargs?.map(spawned => spawned.replace(__dirname, '')),
      message: message.replace(process.execPath, 'node'),
    };
  }
  return arg === undefined ? 'undefined' : arg;
};

/** Tells every event of the child, and goes on after the last. */
function watch(scenario, child, next, last = 'close') {
  for (const event of ['spawn', 'error', 'message', 'disconnect', 'exit', 'close']) {
    child.on(event, (...args) => {
      const told = event === 'message' && scenario === 'the other end' ? [] : args.map(shown);
      say(`${scenario}: events`, [event, ...told]);
    });
  }
  child.on(last, () => {
    say(`${scenario}: after ${last}`, state(child));
    setImmediate(next);
  });
  return child;
}

const state = ({ connected, killed, exitCode, signalCode, channel, pid, _handle }) => ({
  connected,
  killed,
  exitCode: exitCode ?? `${exitCode}`,
  signalCode: signalCode ?? `${signalCode}`,
  channel: typeof channel === 'object' && channel ? channel.constructor.name : `${channel}`,
  pid: typeof pid,
  handle: _handle === null ? 'null' : typeof _handle,
});

/** What the parent does, one after the other. */
const scenarios = {
  exit(next) {
    const child = start('exit');
    const name = 'exit';
    say(`${name}: members`, members(child));
    say(`${name}: state`, state(child));
    say(`${name}: is`, [
      child instanceof childProcess.ChildProcess,
      Object.getPrototypeOf(child) === childProcess.ChildProcess.prototype,
      child.constructor.name,
      `${child}`,
    ]);
    say(`${name}: spawn`, [
      child.spawnfile === process.execPath,
      child.spawnargs.map(arg => arg.replace(__dirname, '').replace(process.execPath, 'node')),
    ]);
    say(`${name}: stdio`, [child.stdin, child.stdout, child.stderr, child.stdio]);
    say(`${name}: channel`, members(child.channel));
    say(`${name}: has a reference`, child._handle.hasRef());
    watch(name, child, next);
  },

  silent(next) {
    const child = watch('silent', start('echo', { silent: true }), next);
    const { stdin, stdout, stderr, stdio } = child;
    say('silent: stdio', [
      stdio.map(stream => stream?.constructor.name ?? `${stream}`),
      [stdin.readable, stdin.writable, stdout.readable, stdout.writable],
      [stdio[0] === stdin, stdio[1] === stdout, stdio[2] === stderr],
    ]);
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', data => say(`silent: ${name}`, data));
      child[name].on('end', () => say(`silent: ${name}`, 'end'));
    }
    stdin.end('input');
  },

  kill(next) {
    const child = watch('kill', start('wait'), next);
    child.once('message', () => {
      const says = (name, act) => {
        try {
          say(`kill: ${name}`, act());
        } catch (error) {
          say(`kill: ${name}`, [error.name, error.code, error.message]);
        }
      };
      says('0', () => [child.kill(0), child.killed]);
      says('a signal that is none', () => child.kill('SIGNONE'));
      says('a number that is none', () => child.kill(4000));
      says('an object', () => child.kill({}));
      says('SIGWINCH', () => [child.kill('SIGWINCH'), child.killed]);
      says('a name in small letters', () => child.kill('sigwinch'));
      says('SIGTERM', () => [child.kill(), child.killed]);
      child.on('close', () => says('after the end', () => [child.kill(), child.kill(0), child.killed]));
    });
  },

  'killed from outside'(next) {
    const child = watch('killed from outside', start('wait'), next);
    child.once('message', () => process.kill(child.pid, 'SIGKILL'));
  },

  dispose(next) {
    const child = start('wait');
    if (!Symbol.dispose || !child[Symbol.dispose]) say('dispose: it', typeof child[Symbol.dispose]);
    watch('dispose', child, next);
    child.once('message', () => {
      if (Symbol.dispose && child[Symbol.dispose]) say('dispose: returns', shown(child[Symbol.dispose]()));
      else child.kill();
    });
  },

  'disconnect()'(next) {
    // One that this end has closed: 'close' is not emitted.
    const child = watch('disconnect()', start('wait'), next, 'exit');
    child.once('message', () => {
      say('disconnect(): returns', shown(child.disconnect()));
      say('disconnect(): state', state(child));
      child.once('error', error => say('disconnect(): again', shown(error)));
      child.disconnect();
      const closed = error => say('disconnect(): send', shown(error));
      say('disconnect(): send returns', child.send('x', closed));
    });
  },

  'no such cwd'(next) {
    const child = start('exit', { cwd: '/no/such/folder' });
    say('no such cwd: state', state(child));
    const missing = child.stdio === undefined ? 'undefined' : child.stdio;
    say('no such cwd: stdio', missing);
    say('no such cwd: send', [typeof child.send, typeof child.disconnect, typeof child.channel]);
    for (const event of ['spawn', 'error', 'exit', 'close', 'disconnect'])
      child.on(event, (...args) => say('no such cwd: events', [event, ...args.map(shown)]));
    child.on('error', () => {
      setImmediate(() => setImmediate(() => setImmediate(next)));
    });
    say('no such cwd: kill', [child.kill(0), child.kill(), child.killed]);
  },

  'back-pressure'(next) {
    const name = 'back-pressure';
    const child = start('count');
    watch(name, child, next);
    child.once('message', () => {
      // The child reads nothing.
      child.kill('SIGSTOP');
      const text = 'x'.repeat(100_000);
      const returned = [];
      const called = [];
      for (let n = 0; n < MANY; n++) {
        returned.push(
          child.send(text, error => {
            called.push([n, error]);
            if (n === MANY - 1)
              say(
                `${name}: called back in order`,
                called.every(([m, e], at) => m === at && e === null),
              );
          }),
        );
      }
      say(`${name}: called before the turn ends`, called.length);
      say(`${name}: true, then false`, [
        returned[0],
        returned.at(-1),
        returned.lastIndexOf(true) < returned.indexOf(false),
      ]);
      child.kill('SIGCONT');
    });
  },

  'messages without listener'(next) {
    const child = watch('messages without listener', start('talk'), next, 'exit');
    child.removeAllListeners('message');
    child.once('disconnect', () => {});
    // It has sent all, and nobody listens yet.
    child.once('spawn', () => {
      fs.watchFile(process.env.FILE, { interval: 20 }, () => {
        fs.unwatchFile(process.env.FILE);
        child.on('message', message => {
          say('messages without listener: got', message);
          if (message === 3) child.disconnect();
        });
      });
    });
  },

  'internal messages'(next) {
    const child = watch('internal messages', start('internal'), next);
    child.on('internalMessage', message => {
      if (message.cmd !== 'NODE_CLUSTER') say('internal messages: told', message);
    });
    child.once('message', () => {
      child.send({ cmd: 'NODE_', about: 'too short to be internal' });
      child.send({ cmd: 'NODE_X', about: 'internal' });
      child.send({ cmd: 'node_x', about: 'not internal' });
      child.send('last');
    });
  },

  'the other end'(next) {
    const child = watch('the other end', start('report', { env: { ADDED: 'yes' }, silent: true }), next);
    child.stdout.resume();
    child.stderr.resume();
    child.on('message', ([name, value]) => say(`the other end: ${name}`, value));
  },

  'ref()'(next) {
    const child = watch('ref()', start('wait'), next);
    child.once('message', () => {
      child.channel.unref();
      child.unref();
      child.ref();
      // Nothing else keeps this process for the end of the child.
      process.kill(child.pid);
    });
  },

  'channel.ref()'(next) {
    const child = watch('channel.ref()', start('wait'), next);
    child.once('message', () => {
      child.unref();
      child.channel.unref();
      child.channel.ref();
      child.once('disconnect', () => child.ref());
      process.kill(child.pid);
    });
  },

  'unref()'(next) {
    next();
    // The last: the parent ends although the child still runs.
    const child = start('wait');
    child.once('message', () => {
      child.unref();
      child.channel.unref();
      say('unref(): ref and unref', [shown(child.channel.ref()), shown(child.channel.unref())]);
      process.on('exit', () => {
        say('unref(): at exit', state(child));
        process.kill(child.pid, 'SIGKILL');
      });
    });
  },
};

/** What the child does. */
const roles = {
  exit() {
    process.send('hello', () => process.exit(3));
  },

  echo() {
    let text = '';
    process.stdin.setEncoding('utf8').on('data', data => {
      text += data;
    });
    process.stdin.on('end', () => {
      process.stdout.write(`out ${text}`, () => process.stderr.write('err', () => process.exit()));
    });
  },

  wait() {
    process.on('message', () => {});
    process.send('ready');
  },

  count() {
    let count = 0;
    process.on('message', message => {
      if (message.length === 100_000) count++;
      if (count === MANY) process.exit(20);
    });
    process.send('ready');
  },

  talk() {
    process.send(1);
    process.send(2);
    process.send(3, () => fs.writeFileSync(process.env.FILE, 'written'));
    process.on('disconnect', () => process.exit());
    process.on('message', () => {});
  },

  internal() {
    process.on(
      'internalMessage',
      message => message.cmd !== 'NODE_CLUSTER' && process.send(['internal', message]),
    );
    process.on('message', message => {
      if (message === 'last') process.disconnect();
      else process.send(['message', message]);
    });
    process.send({ cmd: 'NODE_Y', from: 'the child' });
    process.send('ready');
  },

  report() {
    const tell = (name, value) => process.send([name, value]);
    tell('execArgv', process.execArgv);
    tell('argv', [process.argv0, process.argv.slice(2), process.title]);
    const unset = /^(NODE_UNIQUE_ID|NODE_CHANNEL)/;
    tell('environment', [process.env.ADDED, Object.keys(process.env).filter(name => unset.test(name))]);
    tell('variables', Object.keys(process.env).sort());
    tell('connected', process.connected);
    const { send, _send, disconnect, _disconnect, channel, connected } = process;
    const descriptor = name => {
      const { value, get, enumerable } = Object.getOwnPropertyDescriptor(process, name) ?? {};
      return get ? 'accessor' : `${typeof value}(${value?.length}) ${enumerable}`;
    };
    tell('types', [
      typeof send,
      typeof _send,
      typeof disconnect,
      typeof _disconnect,
      typeof channel,
      connected,
    ]);
    tell('own', ['send', '_send', 'disconnect', '_disconnect', 'connected', '_handleQueue'].map(descriptor));
    tell('channel', members(channel));
    tell('_channel', Object.hasOwn(process, '_channel'));
    tell('fd', [typeof channel.fd, channel.fd > 2]);
    const open = Object.entries(descriptors()).filter(([fd, what]) => fd > 2 && what.startsWith('socket:'));
    tell('sockets besides the streams', open.length);
    // What a process has that this one starts.
    const file = require('node:path').join(__dirname, 'grandchild.js');
    const { STARTED_BY: _, ...env } = process.env;
    childProcess.execFile(process.execPath, [file], { env }, (error, stdout) => {
      tell('grandchild', error ? error.message : JSON.parse(stdout)[1]);
      process.disconnect();
    });
  },
};

const [, , role] = process.argv;
if (role) {
  roles[role]();
} else {
  const names = Object.keys(scenarios);
  const next = () => names.length > 0 && scenarios[names.shift()](next);
  next();
}
