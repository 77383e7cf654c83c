'use strict';

// What programs do that nothing promises anything about: all that is said here is what Node's own cluster says.

const net = require('node:net');
const path = require('node:path');
const { inspect } = require('node:util');
const { cases, say } = require('../../support/cases');

const shown = error => error && [error.name, error.code, error.syscall, error.address, error.message];

/** A worker that does one thing, and all that its primary sees of it. */
const watched = worker => ({
  primary(cluster) {
    cluster.setupPrimary({ silent: true });
    const child = cluster.fork();
    const { stdout, stderr } = child.process;
    let text = '';
    stdout.pipe(process.stdout);
    stderr.setEncoding('utf8').on('data', data => {
      text += data;
    });
    for (const event of ['online', 'disconnect', 'exit']) {
      child.on(event, (...args) => {
        const { state, exitedAfterDisconnect, id } = child;
        const is = [child.isConnected(), child.isDead(), id in cluster.workers];
        say(event, [args, state, exitedAfterDisconnect, is]);
      });
    }
    // Not the frames of a stack.
    child.process.on('close', () => say('stderr', text.match(/^\w*Error: .*|^exit .*/gm)));
  },
  worker(cluster) {
    process.on('exit', code => {
      const { state, exitedAfterDisconnect } = cluster.worker;
      process._rawDebug(`exit ${code} ${state} ${exitedAfterDisconnect} ${process.connected}`);
    });
    worker(cluster);
  },
});

/** Values on their way to the other process; both serialisations have something to say of each. */
const values = () => [
  null,
  0,
  -0,
  '',
  false,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  'é😀\u2028\0\ud800',
  [],
  {},
  [undefined, null],
  { a: undefined, b: null },
  { toJSON: 'no function' },
  new Date(0),
  new Map([[1, 2]]),
  Buffer.from('ab'),
  new Error('e').message,
  /x/g,
  Object.assign(Object.create({ inherited: 1 }), { own: 2 }),
  { cmd: 'NODE_' },
  { cmd: 'NODE' },
  { cmd: 'NODE_X', n: 1 },
];

/** A value in letters that stay one line. */
const plain = value => inspect(value).replace(/[^ -~]/g, letter => `<${letter.charCodeAt(0)}>`);

const attempt = act => {
  try {
    return act();
  } catch (error) {
    return shown(error);
  }
};

cases({
  'ends: an exception': watched(() => {
    process.nextTick(() => {
      throw new TypeError('not caught');
    });
  }),
  'ends: a rejection': watched(() => Promise.reject(new RangeError('not handled'))),
  'ends: abort()': watched(() => process.abort()),
  'ends: exitCode, process.disconnect()': watched(() => {
    process.exitCode = 4;
    process.disconnect();
  }),
  'ends: exitCode, worker.disconnect()': watched(({ worker }) => {
    process.exitCode = 4;
    worker.disconnect();
  }),
  'ends: exitCode, worker.kill()': watched(({ worker }) => {
    process.exitCode = 4;
    worker.kill();
  }),
  'ends: kill() of a worker that listens': watched(({ worker }) => {
    net.createServer().listen(0, () => worker.kill('SIGKILL'));
  }),
  'ends: disconnect() with a connection': watched(({ worker }) => {
    const server = net
      .createServer(socket => socket.resume())
      .listen(0, () => {
        const client = net.connect(server.address().port);
        server.on('connection', () => {
          worker.disconnect();
          setImmediate(() => client.destroy());
        });
      });
  }),

  'an exception in a listener of messages': {
    primary(cluster) {
      const worker = cluster.fork();
      process.once('uncaughtException', ({ message }) => say('caught in the primary', message));
      worker.on('message', message => {
        say('primary', message);
        if (message === 'first') throw new Error('in the primary');
        if (message === 'second') for (const text of ['first', 'second']) worker.send(text);
      });
    },
    worker({ worker }) {
      process.once('uncaughtException', ({ message }) => process.send(message));
      process.on('message', message => {
        if (message === 'first') throw new Error('in the worker');
        worker.disconnect();
      });
      process.send('first');
      process.send('second');
    },
  },

  messages: {
    primary(cluster) {
      cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
      const worker = cluster.fork();
      worker.process.on('message', message => say('to primary', plain(message)));
      worker.process.on('internalMessage', message => {
        if (message.cmd !== 'NODE_CLUSTER') say('to primary, internal', plain(message));
      });
      worker.on('online', () => {
        for (const value of values()) worker.send(value);
        worker.send('last');
      });
    },
    worker({ worker }) {
      process.on('message', message => {
        if (message !== 'last') process.send(`got ${plain(message)}`);
        else worker.disconnect();
      });
      for (const value of values()) process.send(value);
    },
  },

  'a worker that has gone': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('error', error => say('error', shown(error)));
      worker.on('exit', () => {
        say('send', [worker.send('x'), worker.send('x', error => say('callback', shown(error)))]);
        say('kill', [attempt(() => worker.kill()), worker.process.kill()]);
        say(
          'disconnect',
          attempt(() => worker.disconnect() === worker),
        );
        say(
          'process.disconnect',
          attempt(() => worker.process.disconnect()),
        );
      });
    },
    worker: () => process.exit(),
  },

  addresses: {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('listening', address => say('listening', { ...address, port: address.port > 0 }));
    },
    worker({ worker }) {
      const places = [
        { port: 0 },
        { port: 0, host: 'localhost' },
        { port: 0, host: '0.0.0.0' },
        { port: 0, host: '::' },
        { port: 0, host: '::', ipv6Only: true },
        { path: path.join(process.env.FOLDER, 'socket') },
      ];
      const next = () => {
        const place = places.shift();
        if (!place) {
          worker.disconnect();
          return;
        }
        const server = net.createServer();
        server.on('error', error => {
          say('error', shown(error));
          next();
        });
        server.listen(place, () => {
          const address = server.address();
          say('address', address.port ? { ...address, port: true } : address);
          say('key', server._connectionKey);
          server.close(error => {
            say('closed', shown(error));
            next();
          });
        });
      };
      next();
    },
  },
});
