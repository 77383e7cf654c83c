'use strict';

// A program that runs under Node's permission model (--permission).

const dgram = require('node:dgram');
const net = require('node:net');
const { cases, say } = require('../../support/cases');

const shown = ({ name, code, permission, resource, message, syscall, errno, address }) => ({
  name,
  code,
  permission,
  resource,
  message,
  syscall,
  errno,
  address,
});

/** What there is to listen on, and how: with the primary, or without it. */
const places = {
  'a port': exclusive => net.createServer().listen({ port: 0, exclusive }),
  'a host': exclusive => net.createServer().listen({ port: 0, host: '127.0.0.1', exclusive }),
  'a path': exclusive => net.createServer().listen({ path: '/nowhere/socket', exclusive }),
  'an abstract name': exclusive => net.createServer().listen({ path: '\0permission', exclusive }),
  datagrams: exclusive => dgram.createSocket('udp4').bind({ port: 0, exclusive }),
};

/** What comes of it, be it thrown at once, thrown later, or an event. */
function outcome(act) {
  return new Promise(resolve => {
    process.once('uncaughtException', error => resolve(['thrown', shown(error)]));
    try {
      const server = act();
      server.on('error', error => resolve(['error', shown(error)]));
      server.on('listening', () => server.close(() => resolve(['listening'])));
    } catch (error) {
      resolve(['thrown', shown(error)]);
    }
  }).finally(() => process.removeAllListeners('uncaughtException'));
}

cases({
  fork: {
    primary(cluster) {
      for (let i = 0; i < 2; i++) {
        try {
          cluster.fork();
          say('forked');
        } catch (error) {
          say('thrown', shown(error));
        }
      }
      say('workers', Object.keys(cluster.workers));
    },
  },

  'a silent worker': {
    primary(cluster) {
      cluster.setupPrimary({ silent: true });
      try {
        cluster.fork().process.stdout.on('data', text => say('heard', `${text}`));
      } catch (error) {
        say('thrown', shown(error));
        say('workers', Object.keys(cluster.workers).length);
        cluster.setupPrimary({ silent: false });
        cluster.fork();
      }
    },
    worker({ worker }) {
      say('hello', 1);
      worker.disconnect();
    },
  },

  listen: {
    primary: cluster => cluster.fork(),
    async worker({ worker }) {
      for (const [name, act] of Object.entries(places)) {
        say(name, await outcome(() => act(false)));
        say(`${name}, without the primary`, await outcome(() => act(true)));
      }
      worker.disconnect();
    },
  },

  'listen, the worker alone may': {
    primary(cluster) {
      cluster.setupPrimary({ execArgv: [...process.execArgv, '--allow-net'] });
      cluster.fork();
    },
    async worker({ worker }) {
      const [kind, error] = await outcome(() => net.createServer().listen(0));
      say('outcome', [kind, error?.code, error?.syscall]);
      worker.disconnect();
    },
  },
});
