'use strict';

// What a program sees between two messages, or two connections, that arrive together, and what is left of the
// cluster when its listeners throw.

const { AsyncLocalStorage } = require('node:async_hooks');
const fs = require('node:fs');
const net = require('node:net');
const { cases, say } = require('../../support/cases');

/** Files: the primary reads no more for now; all is sent. */
const { STOPPED, SENT } = process.env;

const MESSAGES = [1, 2, 3, 4, 5];
const context = new AsyncLocalStorage();

/** Notes what happens as a message comes, in which context, and enters one of its own. */
function observe(log, message) {
  const note = what => log.push(`${what} ${message} in ${context.getStore()}`);
  note('message');
  context.enterWith(message);
  process.nextTick(note, 'tick');
  Promise.resolve('promise').then(note);
}

/** Until all that was sent to this process meanwhile has arrived. */
function block(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** The same, where the other process leaves a file. */
function blockUntil(file) {
  while (!fs.existsSync(file)) block(1);
}

const throwing = name => () => {
  throw new Error(`of ${name}`);
};

/** Notes what is thrown, and lives on. */
const survive = thrown => process.on('uncaughtException', ({ message }) => thrown.push(message));

cases({
  messages: {
    primary(cluster) {
      const log = [];
      const worker = cluster.fork();
      worker.on('message', message => {
        // What the worker sends after it comes in one read.
        if (message === 'first') {
          fs.writeFileSync(STOPPED, '');
          return blockUntil(SENT);
        }
        observe(log, message);
        if (message === MESSAGES.at(-1)) setImmediate(() => worker.send('your turn'));
      });
      worker.on('exit', () => say('seen', log));
    },
    worker(cluster) {
      process.send('first', () => {
        blockUntil(STOPPED);
        for (const message of MESSAGES.slice(0, -1)) process.send(message);
        // It is with the kernel after the others.
        process.send(MESSAGES.at(-1), () => fs.writeFileSync(SENT, ''));
      });
      process.once('message', () => cluster.worker.disconnect());
    },
  },

  'messages that nobody heard': {
    primary(cluster) {
      const worker = cluster.fork();
      for (const message of MESSAGES) worker.send(message);
      worker.on('message', log => say('seen', log));
    },
    worker(cluster) {
      const log = [];
      // One is the cluster's own.
      process.removeAllListeners('message');
      process.channel.ref();
      setTimeout(() => {
        process.on('message', message => {
          log.push(`${message} in ${context.getStore()}`);
          context.enterWith(message);
          if (message !== MESSAGES.at(-1)) return;
          process.send(log);
          cluster.worker.disconnect();
        });
      }, 100);
    },
  },

  connections: {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('listening', ({ port }) => {
        worker.send('block', () => {
          for (let i = 0; i < MESSAGES.length; i++) net.connect(port, '127.0.0.1').resume();
        });
      });
      worker.on('message', seen => say('seen', seen));
    },
    worker(cluster) {
      const seen = [];
      const server = net.createServer(socket => {
        seen.push(`${context.getStore()}`);
        context.enterWith('of another');
        socket.end();
        if (seen.length < MESSAGES.length) return;
        process.send(seen);
        cluster.worker.disconnect();
      });
      server.listen(0, '127.0.0.1');
      process.on('message', () => block(100));
    },
  },

  'a listener of messages throws': {
    primary(cluster) {
      const thrown = [];
      const got = [];
      survive(thrown);
      const worker = cluster.fork();
      worker.on('message', message => {
        if (message === 'first') return block(100);
        got.push(message);
        throw new Error(`of ${message}`);
      });
      worker.on('exit', code => say('seen', [got, thrown, code]));
    },
    worker() {
      process.send('first');
      setTimeout(() => {
        for (const message of MESSAGES) process.send(message);
        process.exit(7);
      }, 20);
    },
  },

  'listeners of everything throw': {
    primary(cluster) {
      const thrown = [];
      survive(thrown);
      const events = ['fork', 'online', 'listening', 'message', 'disconnect', 'exit'];
      for (const event of events) cluster.on(event, throwing(`cluster, ${event}`));
      const workers = [cluster.fork(), cluster.fork()];
      let left = workers.length;
      for (const worker of workers) {
        for (const event of events) worker.on(event, throwing(`worker, ${event}`));
        worker.prependListener('listening', () => {
          if (--left === 0) cluster.disconnect(() => say('disconnected', true));
        });
      }
      process.on('exit', () => say('seen', [thrown.sort(), Object.keys(cluster.workers)]));
    },
    worker(cluster) {
      survive([]);
      process.on('internalMessage', throwing('internalMessage'));
      cluster.worker.on('disconnect', throwing('disconnect'));
      net.createServer(socket => socket.end()).listen(0, '127.0.0.1');
    },
  },

  'the primary goes while a listener throws': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('message', () => {
        say('worker', worker.process.pid);
        process.exit(0);
      });
    },
    worker(cluster) {
      survive([]);
      cluster.worker.on('disconnect', throwing('disconnect'));
      setInterval(() => {}, 60_000);
      process.send('ready');
    },
  },

  'a scheduling policy that is none': {
    primary(cluster) {
      cluster.schedulingPolicy = 'both';
      for (let i = 0; i < 2; i++) {
        try {
          cluster.fork();
        } catch (error) {
          say('refused', error.code);
        }
      }
    },
  },
});
