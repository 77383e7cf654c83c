'use strict';

// How an error of a bridge comes about: tells its code, and its message from the second line on.

const { EventEmitter, once } = require('node:events');
const cluster = require('../../..');
const { BroadcastChannel, bridge } = require('../../../bus');
const { redis } = require('../../../bus/redis');

/** A broker that lets itself be written to. */
class Broker extends EventEmitter {
  connected = true;
  heard = new Promise(resolve => {
    this.subscribe = (_subject, heard) => resolve(heard);
  });
  publish() {}
  unsubscribe() {}
  close() {}
}

/** What a bridge says when its broker has done something, while somebody listens to a channel. */
async function told(act) {
  const broker = new Broker();
  const joined = bridge(broker, { channels: ['x'] });
  const error = once(joined, 'error');
  new BroadcastChannel('x');
  act(broker, await broker.heard);
  return (await error)[0];
}

const provoke = {
  PRIMARY() {
    if (cluster.isWorker) return bridge(new Broker(), { channels: ['x'] });
    cluster.fork().on('exit', () => process.exit());
    return new Promise(() => {});
  },
  BROKER: () => told(broker => broker.emit('error', new Error('it is on fire'))),
  async REFUSED() {
    const client = Object.assign(new EventEmitter(), { isReady: false, isOpen: true });
    client.duplicate = () => Object.assign(new EventEmitter(), { isReady: false, isOpen: true });
    const joined = bridge(redis(client), { channels: ['x'] });
    const error = once(joined, 'error');
    client.emit('error', new Error('WRONGPASS invalid username-password pair'));
    return (await error)[0];
  },
  GARBAGE: () => told((_broker, heard) => heard(Buffer.from('text'))),
  VERSION: () => told((_broker, heard) => heard(Buffer.from('rcb\x02'.padEnd(40, '\0')))),
  FULL: () =>
    told(broker => {
      broker.connected = false;
      broker.emit('disconnected');
      const channel = new BroadcastChannel('x');
      for (let i = 0; i < 20; i++) channel.postMessage('x'.repeat(1024 * 1024));
    }),
};

const tell = ({ code, message }) => {
  process.stdout.write(`${code}\n${message}\n`, () => {
    process.exit();
  });
};

(async () => provoke[process.argv[2]]())().then(tell, tell);
