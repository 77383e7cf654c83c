'use strict';

const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { cases, say, after } = require('../../support/cases');

/** Forks several workers. */
const forkAll = (cluster, count, env) => Array.from({ length: count }, () => cluster.fork(env));

/** The text that a server on `address` says, or the code of the error. */
function ask(address, callback) {
  let text = '';
  const socket = net.connect(address);
  socket.setEncoding('utf8').on('data', data => {
    text += data;
  });
  socket.on('error', error => {
    text = error.code;
  });
  socket.on('close', () => callback(text));
}

/** What the kernel knows of a descriptor. */
const socketOf = fd => fs.readlinkSync(`/proc/self/fd/${fd}`);

cases({
  'listen(0)': {
    primary(cluster) {
      const ports = {};
      const done = after(4, () => {
        say('ports', ports);
        cluster.disconnect();
      });
      cluster.on('message', ({ id }, port) => {
        ports[id] = [...(ports[id] ?? []), port];
        done();
      });
      forkAll(cluster, 2);
    },
    worker() {
      const first = net.createServer().listen(0, () => {
        process.send(first.address().port);
        const second = net.createServer().listen(0, () => process.send(second.address().port));
      });
    },
  },

  "listen({ fd }) of the primary's": {
    primary(cluster) {
      // Bound, and the primary does not listen on it itself.
      const handle = net._createServerHandle('127.0.0.1', 0, 4);
      const address = {};
      handle.getsockname(address);
      const worker = cluster.fork({ FD: handle.fd });
      worker.on('listening', info => {
        say('listening', [info.fd === handle.fd, info.port === address.port]);
        ask(address.port, text => {
          say('answer', text);
          worker.disconnect();
        });
      });
      worker.on('exit', () => handle.close());
    },
    worker() {
      const server = net.createServer(socket => socket.end('from the worker'));
      server.listen({ fd: Number(process.env.FD) });
      server.on('error', error => say('error', error.code));
    },
  },

  'listen(handle), exclusive and reusePort': {
    primary(cluster) {
      const [first, second] = forkAll(cluster, 2);
      cluster.on('listening', ({ id }, { port }) => say('listening', [id, port === 'never']));
      first.once('message', port => {
        say('first', port > 0);
        second.send(port);
        second.once('message', result => {
          say('second', result);
          for (const worker of [first, second]) worker.disconnect();
        });
      });
      first.send(0);
    },
    worker(cluster) {
      const means = {
        exclusive: port => ({ port, exclusive: true }),
        reusePort: port => ({ port, reusePort: true, host: process.env.HOST || undefined }),
        handle: port => net._createServerHandle(null, port, 4),
      };
      process.once('message', port => {
        const options = means[process.env.MEANS](port);
        if (typeof options === 'number') {
          process.send('EADDRINUSE');
          return;
        }
        const server = net.createServer().listen(options);
        server.on('listening', () => process.send(server.address().port));
        server.on('error', error => process.send(error.code));
        cluster.worker.on('disconnect', () => server.listening && server.close());
      });
    },
  },

  'the channel is lost': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('exit', function (...end) {
        say('end', [...end, this.exitedAfterDisconnect]);
      });
      worker.on('listening', () => {
        if (process.env.BY === 'primary') worker.process.disconnect();
        else if (process.env.BY === 'worker') worker.send('disconnect');
      });
    },
    worker() {
      net.createServer().listen(0);
      process.on('message', () => process.disconnect());
      process.on('exit', code => say('code', code));
    },
  },

  'the primary is killed': {
    primary(cluster) {
      cluster.on('listening', () => process.kill(process.pid, 'SIGKILL'));
      cluster.fork();
    },
    worker() {
      net.createServer().listen(0);
      process.on('exit', code => say('code', code));
    },
  },

  exitedAfterDisconnect: {
    primary(cluster) {
      const [asked, own, crashed, killed] = ['asked', 'own', 'crashed', 'killed'].map(name =>
        cluster.fork({ NAME: name }),
      );
      for (const worker of [asked, own, crashed, killed]) {
        say(`${worker.id}`, worker.exitedAfterDisconnect);
        for (const event of ['online', 'listening', 'disconnect', 'exit'])
          worker.on(event, () => say(`${worker.id}`, worker.exitedAfterDisconnect));
      }
      asked.on('listening', () => asked.disconnect());
      own.on('listening', () => own.send('go'));
      crashed.on('listening', () => crashed.send('go'));
      killed.on('listening', () => killed.kill());
    },
    worker(cluster) {
      net.createServer().listen(0);
      process.on('message', () => {
        if (process.env.NAME === 'own') cluster.worker.disconnect();
        else process.exit(5);
      });
    },
  },

  'workers at the end': {
    primary(cluster) {
      const left = cluster.fork();
      left.on('online', () => {
        const { disconnect } = left;
        disconnect.call(left);
        say('after disconnect()', Object.keys(cluster.workers));
      });
      cluster.once('exit', () => {
        const crashed = cluster.fork({ CRASH: 1 });
        const here = () => cluster.workers[crashed.id] === crashed;
        for (const event of ['disconnect', 'exit']) {
          crashed.on(event, () => say('crashed', [event, here()]));
          cluster.on(event, () => say('crashed', [`cluster ${event}`, here()]));
        }
      });
    },
    worker() {
      if (process.env.CRASH) process.kill(process.pid, 'SIGKILL');
    },
  },

  'cluster.disconnect(callback)': {
    primary(cluster) {
      const workers = forkAll(cluster, 3);
      const ready = after(3, () => {
        cluster.disconnect(() => {
          say('connected', workers.filter(worker => worker.isConnected()).length);
        });
        say('workers', Object.keys(cluster.workers));
        // One goes at a time.
        workers[0].process.send('go');
        workers[0].on('exit', () => workers[1].process.send('go'));
        workers[1].on('exit', () => workers[2].process.send('go'));
      });
      cluster.on('message', ready);
    },
    worker({ worker }) {
      // An open connection holds the server, and so the channel. Each worker has a server of its own.
      const server = net.createServer(socket => {
        process.send('ready');
        process.on('message', () => socket.end());
      });
      const place = `${process.env.SOCKET}-${worker.id}`;
      server.listen(place, () => net.connect(place).resume());
    },
  },

  'kill() in the primary': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('online', () => {
        worker.kill();
        say('after kill()', [worker.exitedAfterDisconnect, Object.keys(cluster.workers)]);
      });
      worker.on('exit', (...end) => say('end', [...end, worker.exitedAfterDisconnect]));
    },
    worker() {
      process.on('message', message => say('message', message));
      process.on('internalMessage', message => say('internal message', message.act));
      process.on('disconnect', () => say('disconnect'));
    },
  },

  'the last listener leaves': {
    primary(cluster) {
      const [first, second] = forkAll(cluster, 2);
      const port = Number(process.env.PORT);
      const listening = after(2, () => {
        first.disconnect();
        first.on('exit', () =>
          ask(port, text => {
            say('one left', text);
            second.send('close');
            second.on('message', () =>
              ask(port, answer => {
                say('none left', answer);
                second.disconnect();
              }),
            );
          }),
        );
      });
      cluster.on('listening', listening);
    },
    worker() {
      const server = net.createServer(socket => socket.end('served')).listen(process.env.PORT);
      process.on('message', () => server.close(() => process.send('closed')));
    },
  },

  'UDP is shared': {
    primary(cluster) {
      const workers = forkAll(cluster, 2);
      const found = {};
      const done = after(2, () => {
        const [one, two] = Object.values(found);
        say('same socket', one.socket === two.socket);
        say('same port', one.port === two.port);
        // Whichever worker gets it, both may.
        const client = dgram.createSocket('udp4');
        client.on('message', message => {
          say('answer', `${message}`);
          client.close();
          for (const worker of workers) worker.disconnect();
        });
        client.send('question', one.port, '127.0.0.1');
      });
      cluster.on('message', ({ id }, message) => {
        found[id] = message;
        done();
      });
    },
    worker() {
      const socket = dgram.createSocket('udp4');
      socket.on('message', (message, { port }) => socket.send(`answer to ${message}`, port, '127.0.0.1'));
      socket.bind(0, '127.0.0.1', () => {
        const symbol = Object.getOwnPropertySymbols(socket).find(
          ({ description }) => description === 'state symbol',
        );
        process.send({ socket: socketOf(socket[symbol].handle.fd), port: socket.address().port });
      });
    },
  },

  'data of servers': {
    primary(cluster) {
      const first = cluster.fork();
      first.on('listening', () => {
        const second = cluster.fork();
        second.on('listening', () => cluster.disconnect());
      });
    },
    worker(cluster) {
      const server = net.createServer();
      server._getServerData = () => ({ from: cluster.worker.id });
      server._setServerData = data => say('set', [cluster.worker.id, data]);
      server.listen(0);
    },
  },

  'TLS ticket keys': {
    primary(cluster) {
      const keys = [];
      const done = after(2, () => {
        say('keys', [keys[0].length, keys[0] === keys[1]]);
        cluster.disconnect();
      });
      cluster.on('message', (_worker, key) => {
        keys.push(key);
        done();
      });
      forkAll(cluster, 2);
    },
    worker() {
      const server = require('node:tls').createServer({});
      server.listen(0, () => process.send(server.getTicketKeys().toString('hex')));
    },
  },

  'Unix path': {
    primary(cluster) {
      const { SOCKET } = process.env;
      const [first, second] = forkAll(cluster, 2);
      const done = after(2, () => {
        say('exists', fs.lstatSync(SOCKET, { throwIfNoEntry: false })?.isSocket() ?? false);
        ask({ path: SOCKET }, text => {
          say('answer', text);
          first.disconnect();
          first.on('exit', () => {
            say('one left', fs.existsSync(SOCKET));
            second.send('close');
            second.on('message', () => {
              say('none left', fs.existsSync(SOCKET));
              second.disconnect();
            });
          });
        });
      });
      cluster.on('listening', (_worker, { address }) => {
        say('listening', address === SOCKET);
        done();
      });
    },
    worker() {
      const server = net.createServer(socket => socket.end('served'));
      server.listen(path.relative(process.cwd(), process.env.SOCKET));
      process.on('message', () => server.close(() => process.send('closed')));
    },
  },

  'long Unix path': {
    primary(cluster) {
      process.chdir(process.env.FOLDER);
      const absolute = path.resolve('short');
      say('too long for the kernel', absolute.length > 107);
      const worker = cluster.fork();
      worker.on('listening', ({ address }) => {
        say('listening', address === absolute);
        ask({ path: 'short' }, text => {
          say('answer', text);
          worker.disconnect();
        });
      });
      worker.on('exit', () => say('exists', fs.existsSync('short')));
    },
    worker() {
      // Relative to the same folder.
      net.createServer(socket => socket.end('served')).listen('short');
    },
  },

  'rights of a Unix path': {
    primary(cluster) {
      const { SOCKET } = process.env;
      const mode = name => fs.statSync(`${SOCKET}-${name}`).mode.toString(8);
      const names = ['plain', 'readable', 'writable', 'both'];
      const worker = cluster.fork();
      const done = after(names.length, () => {
        say(
          'cluster',
          names.map(name => mode(name)),
        );
        worker.disconnect();
      });
      worker.on('listening', done);
      worker.on('exit', () => {
        // What a server has that is in no cluster.
        const servers = names.map(name => net.createServer().listen(options(name)));
        const all = after(names.length, () => {
          say(
            'no cluster',
            names.map(name => mode(name)),
          );
          for (const server of servers) server.close();
        });
        for (const server of servers) server.on('listening', all);
      });
    },
    worker() {
      for (const name of ['plain', 'readable', 'writable', 'both']) net.createServer().listen(options(name));
    },
  },

  backlog: {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('listening', () => say('pids', [process.pid, worker.process.pid]));
      process.once('SIGUSR2', () => worker.disconnect());
    },
    worker() {
      net
        .createServer(socket => socket.end())
        .listen({ path: process.env.SOCKET, backlog: Number(process.env.BACKLOG) });
    },
  },

  ipv6Only: {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const worker = cluster.fork();
      worker.on('listening', () =>
        ask({ host: '::1', port }, six => {
          ask({ host: '127.0.0.1', port }, four => {
            say('answers', [six, four]);
            worker.disconnect();
          });
        }),
      );
    },
    worker() {
      const ipv6Only = process.env.ONLY === 'true';
      const { PORT } = process.env;
      net.createServer(socket => socket.end('served')).listen({ host: '::', port: Number(PORT), ipv6Only });
    },
  },

  'what keeps a worker alive': {
    primary(cluster) {
      // Those in LEAVE end by themselves, the others stay and answer.
      const { STAY, LEAVE } = process.env;
      const stay = STAY.split(',').map(NAME => cluster.fork({ NAME }));
      const leave = LEAVE.split(',').map(NAME => cluster.fork({ NAME }));
      const names = new Map(
        [...stay, ...leave].map((worker, n) => [worker, `${STAY},${LEAVE}`.split(',')[n]]),
      );
      const left = after(leave.length, () => {
        for (const worker of stay) {
          say('stays', [names.get(worker), worker.isConnected() && !worker.isDead()]);
          worker.process.kill('SIGTERM');
        }
      });
      for (const worker of leave) {
        worker.on('exit', (...end) => {
          say('leaves', [names.get(worker), ...end]);
          left();
        });
      }
    },
    worker() {
      const noop = () => {};
      // The cluster's own too.
      const removeListeners = () => {
        for (const event of ['message', 'disconnect']) process.removeAllListeners(event);
      };
      const ways = {
        nothing: noop,
        server: () => net.createServer().listen(0, () => process.channel.unref()),
        'channel ref': () => {
          process.channel.unref();
          process.channel.ref();
        },
        message: () => process.on('message', noop),
        'server ref': () => {
          const server = net.createServer().listen(0, () => {
            process.channel.unref();
            server.unref();
            server.ref();
          });
        },
        'channel unref': () => process.channel.unref(),
        'message removed': () => {
          process.on('message', noop);
          removeListeners();
        },
        'server unref': () => {
          const server = net.createServer().listen(0, () => {
            process.channel.unref();
            server.unref();
          });
        },
        'server closed': () => {
          const server = net.createServer().listen(0, () => {
            process.channel.unref();
            server.close();
          });
        },
        'no listener': removeListeners,
      };
      ways[process.env.NAME]();
    },
  },

  'send() then disconnect()': {
    primary(cluster) {
      const worker = cluster.fork();
      const text = 'x'.repeat(Number(process.env.LENGTH));
      const got = [];
      worker.on('message', message => got.push(message));
      worker.on('disconnect', () => {
        say('in the primary', [
          got.length,
          got.every(([n, received], place) => n === place && received === text),
        ]);
      });
      worker.on('online', () => {
        for (let n = 0; n < 50; n++) worker.send([n, text]);
        worker.disconnect();
      });
    },
    worker(cluster) {
      const text = 'x'.repeat(Number(process.env.LENGTH));
      const got = [];
      process.on('message', message => got.push(message));
      cluster.worker.on('disconnect', () => {
        say('in the worker', [
          got.length,
          got.every(([n, received], place) => n === place && received === text),
        ]);
      });
      for (let n = 0; n < 50; n++) process.send([n, text]);
    },
  },

  'send() then process.disconnect()': {
    primary(cluster) {
      const worker = cluster.fork();
      const got = [];
      worker.on('message', ([n]) => got.push(n));
      worker.on('disconnect', () => say('got', got));
    },
    worker() {
      const text = 'x'.repeat(Number(process.env.LENGTH));
      for (let n = 0; n < 50; n++) process.send([n, text]);
      process.disconnect();
    },
  },

  'written while the loop is blocked': {
    primary(cluster) {
      const worker = cluster.fork();
      const text = 'x'.repeat(100_000);
      worker.once('message', () => {
        const all = after(20, () => {
          say('called back', true);
          worker.disconnect();
        });
        // More than the kernel takes at once; the rest is read while this loop does not turn.
        worker.process.kill('SIGSTOP');
        for (let n = 0; n < 20; n++) worker.send(text, all);
        worker.process.kill('SIGCONT');
        while (!fs.existsSync(process.env.FILE))
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      });
    },
    worker() {
      process.on(
        'message',
        after(20, () => fs.writeFileSync(process.env.FILE, '')),
      );
      process.send('ready');
    },
  },

  'disconnect() twice': {
    primary(cluster) {
      const workers = forkAll(cluster, 3);
      for (const worker of workers) {
        const acts = [];
        worker.process.on('internalMessage', ({ act }) => acts.push(act));
        for (const event of ['disconnect', 'exit', 'error'])
          worker.on(event, () => say(`events of ${worker.id}`, event));
        worker.on('exit', () => say(`asked by ${worker.id}`, acts));
      }
      workers[0].on('online', () => {
        workers[0].disconnect();
        workers[0].disconnect();
      });
      workers[1].on('online', () => workers[1].send('twice'));
      workers[2].on('online', () => workers[2].send('destroy'));
    },
    worker({ worker }) {
      const acts = [];
      process.on('internalMessage', ({ act }) => acts.push(act));
      process.on('exit', () => say(`told to ${worker.id}`, acts.filter(Boolean)));
      worker.on('disconnect', () => say(`in worker ${worker.id}`, 'disconnect'));
      process.on('message', message => {
        worker.disconnect();
        if (message === 'twice') worker.disconnect();
        else worker.destroy();
      });
    },
  },

  'double listen': {
    primary(cluster) {
      cluster.fork();
    },
    worker(cluster) {
      const port = Number(process.env.PORT);
      const servers = [net.createServer(), net.createServer()];
      const done = after(2, () => cluster.worker.disconnect());
      for (const [place, server] of servers.entries()) {
        server.on('listening', () => {
          say(`${place}`, 'listening');
          done();
        });
        server.on('error', error => {
          say(`${place}`, [error.code, error.syscall, error.port]);
          done();
        });
        server.listen(port);
      }
    },
  },

  'double listen, a thrown error': {
    primary(cluster) {
      cluster.fork();
    },
    worker(cluster) {
      process.on('uncaughtException', error => {
        say('uncaught', error.code);
        cluster.worker.disconnect();
      });
      const port = Number(process.env.PORT);
      net.createServer().listen(port, () => net.createServer().listen(port));
    },
  },

  advanced: {
    primary(cluster) {
      const { isDeepStrictEqual } = require('node:util');
      cluster.setupPrimary({ serialization: 'advanced' });
      const worker = cluster.fork();
      const values = treasures();
      const names = Object.keys(values);
      worker.on('message', message => {
        const name = names.shift();
        say(name, isDeepStrictEqual(message, values[name]) || [message]);
        if (names.length === 0) worker.disconnect();
      });
      for (const name of names) worker.send(values[name]);
    },
    worker() {
      const { isDeepStrictEqual } = require('node:util');
      const values = treasures();
      const names = Object.keys(values);
      process.on('message', message => {
        const name = names.shift();
        say(`${name} in the worker`, isDeepStrictEqual(message, values[name]));
        process.send(message);
      });
    },
  },

  'errors, shared references and cycles': {
    primary(cluster) {
      cluster.setupPrimary({ serialization: 'advanced' });
      const worker = cluster.fork();
      worker.on('message', ({ error, cycle, twice }) => {
        say('error', [error instanceof RangeError, error.message, typeof error.stack]);
        say('cycle', cycle.self === cycle);
        say('twice', twice[0] === twice[1]);
        worker.disconnect();
      });
    },
    worker() {
      const cycle = {};
      cycle.self = cycle;
      const one = { one: 1 };
      process.send({ error: new RangeError('too far'), cycle, twice: [one, one] });
    },
  },

  'send() of what cannot be sent': {
    primary(cluster) {
      cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
      const worker = cluster.fork();
      worker.on('message', message => {
        if (message !== 'still alive') return;
        say('message', message);
        sayRefusals('primary', worker);
        worker.disconnect();
        worker.on('disconnect', () => {
          say('primary closed', worker.send('x'));
          worker.send('x', error => say('primary callback', [error.name, error.code, error.message]));
        });
        worker.on('error', error => say('primary error', [error.name, error.code, error.message]));
      });
    },
    worker() {
      sayRefusals('worker', process);
      process.send('still alive');
      process.on('exit', () => {
        process.on('error', () => {});
        say('worker closed', process.send('x'));
      });
    },
  },
});

function options(name) {
  const { SOCKET } = process.env;
  return {
    path: `${SOCKET}-${name}`,
    readableAll: name === 'readable' || name === 'both',
    writableAll: name === 'writable' || name === 'both',
  };
}

function treasures() {
  return {
    map: new Map([['a', new Map([[1, 2]])]]),
    set: new Set([1, 'two', null]),
    bigint: { big: 2n ** 80n },
    date: { date: new Date(86_400_000) },
    regexp: { regexp: /a+b/giu },
    'typed arrays': [new Uint8Array([1, 2]), new Float64Array([0.5, -0]), new BigInt64Array([-5n])],
    buffer: { buffer: Buffer.from('text') },
    'array buffer': { buffer: new Uint8Array([1, 2, 3]).buffer },
    'data view': { view: new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2) },
    numbers: [Number.NaN, -0, Number.POSITIVE_INFINITY],
    undefined: { undefined },
    // biome-ignore lint/suspicious/noSparseArray: a hole is kept.
    'sparse array': [1, , 3],
    'boxed values': [Object(1), Object('text'), Object(true)],
    text: 'naïve 😀 \u0000 \ud800',
    null: null,
    'plain values': [true, 1.5, 'text', ''],
  };
}

function sayRefusals(where, target) {
  const cycle = {};
  cycle.self = cycle;
  const values = { cycle, bigint: { big: 1n }, function: { f() {} }, symbol: { s: Symbol('s') } };
  for (const [name, value] of Object.entries(values)) {
    try {
      target.send(value);
      say(`${where} ${name}`, 'sent');
    } catch (error) {
      say(`${where} ${name}`, [error.name, error.code, error.message.split('\n')[0]]);
    }
  }
}
