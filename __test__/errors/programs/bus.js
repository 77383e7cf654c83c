'use strict';

// How an error of the bus comes about: tells its code, and its message from the second line on.

const { once } = require('node:events');
const { Worker: Thread, isMainThread } = require('node:worker_threads');
const cluster = require('../../..');
const { BroadcastChannel, store } = require('../../../bus');

const MEGABYTE = 'x'.repeat(1024 * 1024);

const provoke = {
  NO_BUS: () => new Thread(__filename, { argv: ['NO_BUS'] }),
  BUS_NOBODY: () => new BroadcastChannel('x').request(1),
  async BUS_REFUSED() {
    await store.set('key', 'x');
    await store.increment('key');
  },
  async BUS_GONE() {
    const [channel, worker] = await answering();
    const answer = channel.request('x');
    // One that ends before it is asked is nobody.
    await Promise.race([once(worker, 'message'), answer]);
    worker.process.kill('SIGKILL');
    await answer;
  },
  async BUS_FULL() {
    const [channel, worker] = await answering();
    worker.process.kill('SIGSTOP');
    for (let i = 0; i < 20; i++) channel.postMessage(MEGABYTE);
    await channel.request('x').finally(() => worker.process.kill('SIGKILL'));
  },
};

async function answering() {
  const worker = cluster.fork();
  await once(worker, 'message');
  return [new BroadcastChannel('x'), worker];
}

async function beAsked() {
  const channel = new BroadcastChannel('x');
  channel.answer(() => {
    process.send('asked');
    return new Promise(() => {});
  });
  await channel.ready();
  process.send('ready');
}

const tell = ({ code, message }) => {
  process.stdout.write(`${code}\n${message}\n`, () => process.exit());
};

if (!isMainThread) {
  try {
    new BroadcastChannel('x');
  } catch (error) {
    tell(error);
  }
} else if (cluster.isPrimary) {
  Promise.resolve(provoke[process.argv[2]]()).catch(tell);
} else {
  beAsked();
}
