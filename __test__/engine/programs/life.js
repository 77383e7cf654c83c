'use strict';

// Whether a listener of the workers keeps a primary alive that has let go of all else, and what a program that traces
// `net.server.listen` is told there.

const dgram = require('node:dgram');
const { channel } = require('node:diagnostics_channel');
const net = require('node:net');
const { cases, say } = require('../../support/cases');

/** A primary that lets go of its worker once that listens, and waits for nothing. */
const letGo = (cluster, then = () => {}) => {
  const worker = cluster.fork();
  worker.on('listening', () => {
    worker.process.unref();
    worker.process.channel.unref();
    then();
  });
  process.on('exit', () => {
    say('ends', true);
    worker.process.kill('SIGKILL');
  });
};

/** One that is alive after a while, although its own timer does not keep it. */
const isAlive = () =>
  setTimeout(() => {
    say('alive', true);
    process.exit();
  }, 300).unref();

const stay = () => setInterval(() => {}, 60_000);

cases({
  'a server listens': {
    primary: cluster => letGo(cluster, isAlive),
    worker() {
      net.createServer().listen(0, '127.0.0.1');
      stay();
    },
  },

  'a server has the socket itself': {
    primary: cluster => letGo(cluster),
    worker() {
      net.createServer().listen(0, '127.0.0.1');
      stay();
    },
  },

  'a server has listened': {
    primary: cluster => letGo(cluster),
    worker() {
      const server = net.createServer().listen(0, '127.0.0.1', () => setTimeout(() => server.close(), 50));
      stay();
    },
  },

  'a UDP socket is bound': {
    primary: cluster => letGo(cluster),
    worker() {
      dgram.createSocket('udp4').bind(0, '127.0.0.1');
      stay();
    },
  },

  tracing: {
    primary(cluster) {
      for (const event of ['asyncStart', 'asyncEnd', 'error']) {
        channel(`tracing:net.server.listen:${event}`).subscribe(({ server, error }) => {
          const { errno, code, syscall, message } = error ?? {};
          say('told', [
            event,
            server instanceof net.Server,
            errno,
            code,
            syscall,
            message?.replace(/:\d+$/, ''),
          ]);
        });
      }
      // In the worker's place somebody else has the port.
      const taken = net.createServer().listen(0, '127.0.0.1', () => {
        const worker = cluster.fork({ TAKEN: taken.address().port });
        worker.on('exit', () => taken.close());
      });
    },
    worker(cluster) {
      const server = net.createServer();
      server.on('error', () => server.listen(0, '127.0.0.1', () => cluster.worker.disconnect()));
      server.listen(Number(process.env.TAKEN), '127.0.0.1');
    },
  },
});
