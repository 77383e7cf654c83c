'use strict';

// A transport over each client of a broker that people use: how a program makes one.

const { nats } = require('rust-cluster/bus/nats');
const { redis } = require('rust-cluster/bus/redis');

/** Milliseconds after which they try again. */
const AGAIN = 50;

/**
 * `patience`: milliseconds in which the broker has to answer, or the connection is as good as gone.
 *
 * @type {Record<string, { broker: 'nats' | 'redis', connect(at: object): Promise<{ transport: object, end(): unknown }> }>}
 */
const CLIENTS = {
  nats: { broker: 'nats', connect: at => overNats(require('nats'), at) },
  '@nats-io/transport-node': {
    broker: 'nats',
    connect: at => overNats(require('@nats-io/transport-node'), at),
  },
  ioredis: {
    broker: 'redis',
    async connect({ host = '127.0.0.1', port, password, patience }) {
      const Redis = require('ioredis');
      const timeouts = patience && { socketTimeout: patience, connectTimeout: patience };
      const client = new Redis({ host, port, password, retryStrategy: () => AGAIN, ...timeouts });
      return { transport: redis(client), end: () => client.disconnect(), client };
    },
  },
  redis: {
    broker: 'redis',
    async connect({ host = '127.0.0.1', port, password, again = true, patience }) {
      const { createClient } = require('redis');
      const client = createClient({
        socket: {
          host,
          port,
          reconnectStrategy: () => again && AGAIN,
          ...(patience && { socketTimeout: patience, connectTimeout: patience }),
        },
        ...(patience && { pingInterval: patience / 4 }),
        password,
      });
      return { transport: redis(client), end: () => client.isOpen && client.destroy(), client };
    },
  },
};

async function overNats({ connect }, { host = '127.0.0.1', port, password, patience }) {
  const client = await connect({
    servers: `${host}:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: AGAIN,
    reconnectJitter: 1,
    ...(patience && { pingInterval: patience / 4, maxPingOut: 3, timeout: patience }),
    ...(password && { user: 'cluster', pass: password }),
  });
  return { transport: nats(client), end: () => client.close(), client };
}

module.exports = CLIENTS;
