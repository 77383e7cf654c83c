'use strict';

const dgram = require('node:dgram');
const net = require('node:net');
const path = require('node:path');
const { cases, say, after } = require('../../support/cases');

const shown = ({ name, code, message, errno, syscall }) =>
  // Without a code, the words are V8's or nobody's.
  code === undefined ? [name, 'undefined'] : [name, code, message.split('\n')[0], errno, syscall];

/** Tells what comes of it. */
function attempt(name, act) {
  try {
    const result = act();
    say(name, ['returns', result]);
  } catch (error) {
    say(name, shown(error));
  }
}

function nothing() {}

/** What no send() takes. `target` is a Worker, its process, or `process` in the worker. */
function sendNonsense(where, target) {
  const cycle = {};
  cycle.self = cycle;
  const closed = net.createServer();
  const attempts = {
    nothing: [],
    undefined: [undefined],
    'a function': [nothing],
    'a symbol': [Symbol('s')],
    'a bigint': [1n],
    'an object as handle': ['x', {}],
    'a number as handle': ['x', 5],
    'text as handle': ['x', 'y'],
    'true as handle': ['x', true],
    'null as handle': ['x', null],
    'a server that does not listen': ['x', closed],
    'a socket that is not open': ['x', new net.Socket()],
    'text as options': ['x', undefined, 'y'],
    'null as options': ['x', undefined, null],
    'an array as options': ['x', undefined, []],
    'a number as options': ['x', undefined, 5],
    'text as keepOpen': ['x', undefined, { keepOpen: 'y' }],
    'text as callback': ['x', undefined, {}, 'y'],
    'a cycle': [cycle],
    'a bigint within': [{ big: 1n }],
    'toJSON that throws': [
      {
        toJSON() {
          throw new RangeError('on purpose');
        },
      },
    ],
    'a good one': [null],
  };
  for (const [name, args] of Object.entries(attempts))
    attempt(`${where}: send ${name}`, () => target.send(...args));
}

const refusals = {
  'args: text': { args: 'text' },
  'args: NUL': { args: ['a\0b'] },
  'exec: a number': { exec: 5 },
  'exec: null': { exec: null },
  'exec: NUL': { exec: 'a\0b' },
  'execArgv: a number': { execArgv: 5 },
  'execArgv: NUL': { execArgv: ['--x\0'] },
  'cwd: a number': { cwd: 5 },
  'cwd: NUL': { cwd: 'a\0' },
  'stdio: nonsense': { stdio: 'nonsense' },
  'stdio: nonsense within': { stdio: ['ignore', 'nonsense', 'ignore', 'ipc'] },
  'stdio: an object within': { stdio: [{}, 'ignore', 'ignore', 'ipc'] },
  'stdio: no ipc': { stdio: ['ignore'] },
  'stdio: ignore': { stdio: 'ignore' },
  'serialization: nonsense': { serialization: 'nonsense' },
  'serialization: a number': { serialization: 5 },
  'uid: text': { uid: 'root' },
  'uid: a fraction': { uid: 1.5 },
  'gid: negative': { gid: -1.5 },
  'windowsHide: text': { windowsHide: 'yes' },
};

cases({
  settings: {
    primary(cluster) {
      const good = { ...cluster.settings };
      for (const [name, settings] of Object.entries(refusals)) {
        attempt(name, () => {
          cluster.setupPrimary(settings);
          cluster.fork();
        });
        const reset = Object.fromEntries(Object.keys(settings).map(key => [key, undefined]));
        const { argv, execArgv } = process;
        cluster.setupPrimary({ ...reset, args: argv.slice(2), exec: argv[1], execArgv, ...good });
      }
      attempt('fork(env): NUL', () => cluster.fork({ NAME: 'a\0b' }));
      say('workers', Object.keys(cluster.workers));
      attempt('setupPrimary(null)', () => cluster.setupPrimary(null));
      attempt('setupPrimary(5)', () => cluster.setupPrimary(5));
      const worker = cluster.fork();
      worker.on('online', () => {
        attempt('kill: no signal', () => worker.kill('SIGNONE'));
        // The refused ones have left nothing; one did start.
        cluster.disconnect();
      });
    },
    worker() {},
  },

  'args that are no text': {
    primary(cluster) {
      cluster.setupPrimary({ args: [1, true, null, undefined, 2n] });
      attempt('fork', () => cluster.fork().id);
    },
    worker({ worker }) {
      say('argv', process.argv.slice(2));
      worker.disconnect();
    },
  },

  'two channels': {
    primary(cluster) {
      cluster.setupPrimary({ stdio: ['ipc', 'ignore', 'inherit', 'ipc'] });
      attempt('fork', () => cluster.fork());
      say('workers', Object.keys(cluster.workers));
      process.exit();
    },
    worker() {},
  },

  send: {
    primary(cluster) {
      cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
      const worker = cluster.fork();
      worker.on('error', error => say('primary: error event', shown(error)));
      worker.on('message', message => {
        if (message !== 'worker is done') return;
        sendNonsense('primary', worker);
        worker.disconnect();
      });
    },
    worker() {
      process.on('error', error => say('worker: error event', shown(error)));
      sendNonsense('worker', process);
      process.send('worker is done');
    },
  },

  listen: {
    primary(cluster) {
      cluster.fork();
    },
    worker({ worker }) {
      const attempts = {
        'an address of nobody': () => net.createServer().listen(0, '192.0.2.1'),
        'a path without folder': () =>
          net.createServer().listen(path.join(process.env.FOLDER, 'none', 'socket')),
        'a descriptor that is not open': () => net.createServer().listen({ fd: 9999 }),
        'a descriptor that is no socket': () => net.createServer().listen({ fd: 0 }),
        'no such host': () => net.createServer().listen(0, 'no..such.host'),
        'UDP, an address of nobody': () => dgram.createSocket('udp4').bind(0, '192.0.2.1'),
      };
      const thrown = {
        'port 65536': () => net.createServer().listen(65536),
        'port -1': () => net.createServer().listen(-1),
        'no address': () => net.createServer().listen({}),
      };
      for (const [name, act] of Object.entries(thrown)) attempt(name, act);
      const done = after(Object.keys(attempts).length, () => worker.disconnect());
      for (const [name, act] of Object.entries(attempts)) {
        const server = act();
        server.on('listening', () => say(name, 'listening'));
        server.on('error', ({ name: kind, code, errno, syscall }) => {
          say(name, [kind, code, errno, syscall]);
          done();
        });
      }
    },
  },

  'UDP ports of more than 16 bits': {
    primary(cluster) {
      cluster.fork();
    },
    worker({ worker }) {
      const ports = [65536, -65536, 65536 + Number(process.env.PORT), '131072', Number.NaN];
      const done = after(ports.length, () => worker.disconnect());
      for (const port of ports) {
        const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });
        socket.bind({ port, address: '127.0.0.1' }, () => {
          const bound = socket.address().port;
          say(`${port}`, bound === port % 65536 ? 'as asked' : bound > 0);
          done();
        });
      }
    },
  },

  'a path that is too long': {
    primary(cluster) {
      cluster.fork();
    },
    worker({ worker }) {
      const server = net.createServer().listen(path.join(process.env.FOLDER, 'x'.repeat(200)));
      server.on('listening', () => say('listening'));
      server.on('error', ({ code, syscall }) => {
        say('error', [code, syscall]);
        worker.disconnect();
      });
    },
  },

  'cannot start': {
    primary(cluster) {
      const { HOW } = process.env;
      const ways = {
        exec: { exec: '/no/such/file.js' },
        cwd: { cwd: '/no/such/folder' },
        'syntax error': { exec: path.join(__dirname, 'syntax-error.txt') },
      };
      for (const event of ['setup', 'fork', 'online', 'listening', 'disconnect', 'exit', 'error']) {
        cluster.on(event, (...args) => {
          if (event !== 'setup') say('cluster', [event, ...args.slice(1).map(arg => arg ?? `${arg}`)]);
        });
      }
      cluster.setupPrimary(ways[HOW]);
      const worker = cluster.fork();
      for (const event of ['spawn', 'error', 'disconnect', 'exit', 'close']) {
        const args = all =>
          all.map(arg =>
            arg instanceof Error
              ? [arg.code, arg.errno, arg.syscall === `spawn ${process.execPath}`]
              : (arg ?? `${arg}`),
          );
        worker.process.on(event, (...all) => say('process', [event, ...args(all)]));
        worker.on(event, (...all) => say('worker', [event, ...args(all)]));
      }
      say('pid', typeof worker.process.pid);
      say('connected', [worker.isConnected(), worker.isDead()]);
      process.on('exit', () => {
        say('workers', Object.keys(cluster.workers));
        say('at exit', [
          worker.state,
          worker.isConnected(),
          worker.isDead(),
          `${worker.exitedAfterDisconnect}`,
        ]);
      });
    },
  },

  'a user that one may not become': {
    primary(cluster) {
      process.setuid(65534);
      cluster.setupPrimary({ uid: 0 });
      cluster.on('fork', () => say('forked'));
      attempt('fork', () => cluster.fork());
      say('workers', Object.keys(cluster.workers));
    },
  },

  'a round-robin server as handle': {
    primary(cluster) {
      cluster.fork().on('message', (message, handle) => say('message', [message, typeof handle]));
    },
    worker({ worker }) {
      const server = net.createServer().listen(0, () => {
        attempt('send', () => process.send('server', server));
        process.send('still alive', () => worker.disconnect());
      });
    },
  },
});
