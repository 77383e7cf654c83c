'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { cases, say, after } = require('../../support/cases');
const { descriptors, sockets } = require('../../support/descriptors');

const forkAll = (cluster, count, env) => Array.from({ length: count }, () => cluster.fork(env));

/** The text that a server says. */
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
  return socket;
}

/** Blocks this process until the file is there. */
function block(file) {
  while (!fs.existsSync(file)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

cases({
  'a handle with a large message': {
    primary(cluster) {
      const text = 'x'.repeat(1_000_000);
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        const worker = cluster.fork();
        const ends = [];
        worker.on('message', message => {
          say(message[0], message[1]);
          if (message[0] === 'more sockets') worker.disconnect();
        });
        worker.on('exit', () => {
          for (const socket of ends) socket.destroy();
          server.close();
        });
        worker.on('online', () => {
          for (let n = 0; n < 5; n++) {
            const client = net.connect(server.address().port, '127.0.0.1');
            ends.push(client);
          }
        });
        let sent = 0;
        server.on('connection', socket => {
          socket.write(`${sent}`);
          worker.send([sent++, text], socket);
        });
      });
    },
    worker() {
      const before = sockets();
      const ends = [];
      process.on('message', ([n, text], socket) => {
        say('received', [n, text.length, socket instanceof net.Socket]);
        ends.push(socket);
        if (ends.length < 5) return;
        process.send(['more sockets', sockets() - before]);
        for (const end of ends) end.destroy();
      });
    },
  },

  'received descriptors are close-on-exec': {
    primary(cluster) {
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        const worker = cluster.fork();
        worker.on('message', message => {
          if (message === 'ready') {
            worker.send('server', server);
          } else {
            server.close();
            worker.disconnect();
          }
        });
      });
    },
    worker() {
      const { spawn } = require('node:child_process');
      const dgram = require('node:dgram');
      const server = net.createServer(accepted => {
        process.send('ready');
        process.on('message', (_message, received) => {
          const shared = dgram.createSocket('udp4').bind(0, () => {
            const file = path.join(__dirname, 'grandchild.js');
            const child = spawn(process.execPath, [file], { stdio: ['ignore', 'inherit', 'inherit'] });
            child.on('exit', () => {
              for (const open of [received, shared, server]) open.close();
              accepted.destroy();
              process.send('done');
            });
          });
        });
      });
      // A socket of each kind that comes from the primary.
      server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').resume());
    },
  },

  'a handle closed right after send()': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('message', message => {
        say('got', message);
        worker.disconnect();
      });
      const server = net
        .createServer(socket => socket.end())
        .listen(0, '127.0.0.1', () => {
          // Nothing of this is in the kernel yet: the worker has not started.
          const text = 'x'.repeat(1_000_000);
          worker.send(text);
          worker.send('server', server);
          const { port } = server.address();
          server.close(() => worker.send(port));
        });
    },
    worker() {
      let received;
      process.on('message', (message, handle) => {
        if (handle) received = handle;
        if (typeof message !== 'number') return;
        process.send([Boolean(received), received?.address().port === message]);
        received?.close();
      });
    },
  },

  'close() before the answer': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('message', () => {
        ask({ port: Number(process.env.PORT), host: '127.0.0.1' }, text => {
          say('first port', text);
          worker.disconnect();
        });
      });
    },
    worker() {
      const { PORT, OTHER } = process.env;
      const before = sockets();
      const server = net.createServer(socket => socket.end('served'));
      server.on('listening', () => {
        say('listening', server.address().port === Number(OTHER));
        ask({ port: Number(OTHER), host: '127.0.0.1' }, text => {
          say('second port', text);
          server.close(() => {
            say('more sockets', sockets() - before);
            process.send('closed');
          });
        });
      });
      server.listen(PORT);
      server.close();
      server.listen(OTHER);
    },
  },

  'a received server does not ask the primary': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.process.on('internalMessage', ({ act }) => act === 'queryServer' && say('asked', act));
      worker.on('listening', () => say('asked', 'listening'));
      const server = net
        .createServer(socket => socket.end('primary'))
        .listen(0, '127.0.0.1', () => {
          const { port } = server.address();
          worker.send('server', server, () => {
            server.close();
          });
          worker.on('message', () =>
            ask({ port, host: '127.0.0.1' }, text => {
              say('answer', text);
              worker.disconnect();
            }),
          );
        });
    },
    worker({ worker }) {
      process.on('message', (_message, server) => {
        server.on('connection', socket => socket.end('worker'));
        process.send('ready');
        worker.on('disconnect', () => server.close());
      });
    },
  },

  'the path of a crashed worker': {
    primary(cluster) {
      const { SOCKET } = process.env;
      const worker = cluster.fork();
      worker.on('listening', () => {
        say('exists', fs.existsSync(SOCKET));
        worker.process.kill('SIGKILL');
      });
      worker.on('exit', () => say('exists', fs.existsSync(SOCKET)));
    },
    worker() {
      net.createServer().listen(process.env.SOCKET);
    },
  },

  'a worker that refused goes on': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const open = [];
      const connect = callback => {
        const socket = net.connect(port, '127.0.0.1');
        socket.setEncoding('utf8').on('data', id => {
          open.push([id, socket]);
          callback();
        });
      };
      const closeAll = callback => {
        const done = after(open.length, callback);
        for (const [, socket] of open.splice(0)) socket.on('close', done).end();
      };
      // As many connections as all may have: each worker has its share, round after round.
      const round = left => {
        if (left === 0) {
          cluster.disconnect();
          return;
        }
        const full = after(4, () => {
          say('served by', open.map(([id]) => id).sort());
          closeAll(() => round(left - 1));
        });
        for (let n = 0; n < 4; n++) connect(full);
      };
      cluster.on(
        'listening',
        after(2, () => round(3)),
      );
      forkAll(cluster, 2);
    },
    worker({ worker }) {
      const server = net.createServer(socket => {
        socket.write(`${worker.id}`);
        // Counted out before the client sees the end.
        socket.on('end', () => socket.destroy()).resume();
      });
      server.maxConnections = 2;
      server.listen(process.env.PORT);
    },
  },

  'each connection once': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const count = 300;
      const served = [];
      const all = after(count, () => {
        say('served', [served.length, served.every(text => text === 'served')]);
        cluster.disconnect();
      });
      cluster.on(
        'listening',
        after(2, () => {
          cluster.workers[1].send('block');
        }),
      );
      cluster.on('message', () => {
        // The one that is blocked has a queue that grows.
        for (let n = 0; n < count; n++) {
          ask({ port, host: '127.0.0.1' }, text => {
            served.push(text);
            all();
            if (served.length === 100) fs.writeFileSync(process.env.FILE, '');
          });
        }
      });
      forkAll(cluster, 2);
    },
    worker({ worker }) {
      let count = 0;
      const server = net.createServer(socket => {
        count++;
        socket.end('served');
      });
      server.listen(process.env.PORT);
      process.on('message', () => process.send('blocks', () => block(process.env.FILE)));
      worker.on('disconnect', () => say('count', count));
    },
  },

  'bytes sent before the handoff': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      cluster.on('listening', worker => {
        const text = 'x'.repeat(100_000);
        const socket = net.connect(port, '127.0.0.1', () => socket.end(text));
        let answer = '';
        socket.setEncoding('utf8').on('data', data => {
          answer += data;
        });
        socket.on('close', () => {
          say('received', answer);
          worker.disconnect();
        });
      });
      cluster.fork();
    },
    worker() {
      net
        .createServer({ allowHalfOpen: true }, socket => {
          let length = 0;
          socket.on('data', data => {
            length += data.length;
          });
          socket.on('end', () => socket.end(`${length}`));
        })
        .listen(process.env.PORT);
    },
  },

  'clients that left while queued': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const worker = cluster.fork();
      worker.on('listening', () => worker.send('block'));
      worker.on('message', () => {
        const left = after(20, () => {
          fs.writeFileSync(process.env.FILE, '');
          const done = after(2, () => worker.disconnect());
          for (let n = 0; n < 2; n++) {
            ask({ port, host: '127.0.0.1' }, text => {
              say('answer', text);
              done();
            });
          }
        });
        for (let n = 0; n < 20; n++) {
          const socket = net.connect(port, '127.0.0.1', () => socket.resetAndDestroy());
          socket.on('close', left);
        }
      });
    },
    worker() {
      const server = net.createServer(socket => {
        socket.on('error', () => {});
        socket.end('served');
      });
      server.maxConnections = 2;
      server.listen(process.env.PORT);
      process.on('message', () => process.send('blocks', () => block(process.env.FILE)));
    },
  },

  'workers that are gone are forgotten': {
    primary(cluster) {
      const references = [];
      const fork = left => {
        if (left === 0) {
          check();
          return;
        }
        const worker = cluster.fork();
        references.push(new WeakRef(worker));
        // Node's own tells that it could not answer.
        worker.on('error', () => {});
        cluster.once('exit', () => setImmediate(fork, left - 1));
      };
      const check = () => {
        globalThis.gc();
        // In a turn of its own: a reference that was looked at lives until the end of the turn.
        setImmediate(() => {
          globalThis.gc();
          say('kept', references.filter(reference => reference.deref()).length);
        });
      };
      fork(5);
    },
    worker() {
      // Dies with its question unanswered.
      net.createServer().listen(0);
      process.kill(process.pid, 'SIGKILL');
    },
  },

  'descriptors of workers that are gone': {
    primary(cluster) {
      const open = [];
      const fork = left => {
        if (left === 0) {
          say('sockets', open);
          return;
        }
        const worker = cluster.fork();
        worker.on('error', () => {});
        worker.process.on('close', () =>
          setImmediate(() => {
            open.push(Object.keys(descriptors()).length);
            fork(left - 1);
          }),
        );
      };
      fork(5);
    },
    worker({ worker }) {
      net.createServer().listen(0, () => {
        if (worker.id % 2) process.kill(process.pid, 'SIGKILL');
        else process.exit();
      });
    },
  },

  'foreign messages with an ack': {
    primary(cluster) {
      const worker = cluster.fork();
      const told = [];
      worker.process.on('internalMessage', ({ cmd }) => cmd !== 'NODE_CLUSTER' && told.push(cmd));
      // They wait in the channel before any answer of ours.
      for (let ack = 0; ack < 10; ack++) {
        for (const cmd of ['NODE_FOREIGN', 'FOREIGN'])
          worker.send({ cmd, ack, errno: -98, key: 'k', accepted: true });
      }
      worker.on('listening', () => worker.disconnect());
      worker.on('exit', () => {
        say('told', told);
        say('exitedAfterDisconnect', worker.exitedAfterDisconnect);
      });
    },
    worker() {
      let count = 0;
      process.on('message', ({ cmd }) => cmd === 'FOREIGN' && count++);
      process.on('internalMessage', ({ cmd }) => cmd === 'NODE_FOREIGN' && count++);
      const foreign = ack => ({ cmd: 'NODE_FOREIGN', act: 'exitedAfterDisconnect', seq: ack, ack });
      for (let ack = 0; ack < 3; ack++) process.send(foreign(ack));
      const server = net.createServer();
      server.on('error', error => say('error', error.code));
      server.listen(0, () => say('listening', true));
      process.on('exit', () => say('count', count));
    },
  },

  'handles for a worker that does not answer': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('online', () => {
        worker.process.kill('SIGSTOP');
        const server = net.createServer().listen(0, () => {
          const done = after(4, () => {
            say('all sent');
            server.close();
            worker.process.kill('SIGCONT');
            worker.disconnect();
          });
          for (let n = 0; n < 3; n++) worker.send(n, server, done);
          worker.send('plain', done);
        });
      });
    },
    worker() {
      process.on('message', (message, server) => {
        say('received', message);
        server?.close();
      });
    },
  },

  'disconnect() before boot': {
    primary(cluster) {
      const worker = cluster.fork();
      for (const event of ['online', 'disconnect', 'exit'])
        worker.on(event, (...args) => say('events', [event, ...args]));
      worker.disconnect();
      worker.on('exit', () => say('exitedAfterDisconnect', worker.exitedAfterDisconnect));
    },
    worker() {},
  },

  'a bind that fails for several': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const other = net.createServer().listen(port, () => {
        const failed = after(3, () =>
          other.close(() => {
            for (const worker of Object.values(cluster.workers)) worker.send('again');
          }),
        );
        cluster.on('message', (_worker, error) => {
          say('error', error);
          failed();
        });
        cluster.on(
          'listening',
          after(3, () => {
            say('listening', true);
            cluster.disconnect();
          }),
        );
        forkAll(cluster, 3);
      });
    },
    worker() {
      const server = net.createServer();
      server.on('error', ({ code, errno, port }) => process.send([code, errno, port]));
      server.listen(process.env.PORT);
      process.on('message', () => server.listen(process.env.PORT));
    },
  },

  'the asker of a bind dies': {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const first = cluster.fork({ DIES: 1 });
      forkAll(cluster, 2);
      const done = after(3, () => {
        ask({ port, host: '127.0.0.1' }, text => {
          say('answer', text);
          cluster.disconnect();
        });
      });
      cluster.on('listening', done);
      first.on('exit', done);
      // Node's own tells that it could not answer.
      first.on('error', () => {});
    },
    worker() {
      net.createServer(socket => socket.end('served')).listen(process.env.PORT);
      if (process.env.DIES) process.kill(process.pid, 'SIGKILL');
    },
  },

  maxConnections: {
    primary(cluster) {
      const port = Number(process.env.PORT);
      const ids = [];
      const open = [];
      const connect = callback => {
        const socket = net.connect(port, '127.0.0.1');
        socket.setEncoding('utf8').once('data', id => {
          ids.push(id);
          callback?.(socket);
        });
        return socket;
      };
      cluster.on(
        'listening',
        after(2, () => {
          const full = after(2, () => {
            say('served by', ids.toSorted());
            // The third waits for the end of another.
            const third = connect(() => {
              say('third', ids.length);
              open.push(third);
              for (const socket of open) socket.end();
              cluster.disconnect();
            });
            third.on('connect', () => {
              say('connected', ids.length);
              open.shift().end();
            });
          });
          open.push(connect(full), connect(full));
        }),
      );
      forkAll(cluster, 2);
    },
    worker({ worker }) {
      const server = net.createServer(socket => {
        socket.write(`${worker.id}`);
        socket.resume();
      });
      server.maxConnections = 1;
      server.listen(process.env.PORT);
    },
  },

  'servers with and without data on one key': {
    primary(cluster) {
      const forkNext = left => {
        const worker = cluster.fork();
        worker.on('listening', () => (left > 1 ? forkNext(left - 1) : cluster.disconnect()));
      };
      forkNext(4);
    },
    worker({ worker }) {
      const server = net.createServer();
      // 1 and 3 are plain, 2 and 4 have data.
      if (worker.id % 2 === 0) {
        server._getServerData = () => ({ from: worker.id });
        server._setServerData = data => say('set', [worker.id, data]);
      }
      server.listen(process.env.PORT);
    },
  },

  'exit code 7': {
    primary(cluster) {
      cluster.fork();
    },
    worker() {
      process.exit(7);
    },
  },
});
