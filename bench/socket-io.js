#!/usr/bin/env node
'use strict';

// node bench/socket-io.js: what one worker emits to a room that has a client in each worker, by each adapter. Medians of ROUNDS
// rounds (5), in which all take turns. The clients have no connection: what is written to them is counted. So what is measured is
// Socket.IO's packets and the adapter. CROWDS: how many workers (2,5,17: one emits, and 1, 4, 16 have the others' clients). Redis
// takes part where redis-server is installed.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: pause } = require('node:timers/promises');

const proc = require('../__test__/support/proc');
const { costOf } = require('./measure/cost');
const { startRedis } = require('./measure/redis');
const { summary } = require('./measure/statistics');

const { ROUNDS = 5, CROWDS = '2,5,17', ADAPTER, NODE, REDIS, REDIS_PID, WORKERS } = process.env;
/** So many are emitted until all workers have said that their clients have them. */
const BATCH = 200;
/** The first warm up. */
const WARMING = 20;
const BATCHES = 50;

const WAYS = {
  'rust-cluster/bus/socket.io': { ADAPTER: 'bus' },
  "@socket.io/cluster-adapter, Node's cluster": { ADAPTER: 'cluster', NODE: '1' },
  '@socket.io/cluster-adapter, rust-cluster': { ADAPTER: 'cluster' },
};

async function measure() {
  const redis = await startRedis('ioredis', '@socket.io/redis-adapter');
  if (redis)
    WAYS["@socket.io/redis-adapter with ioredis, Node's cluster"] = {
      ...{ ADAPTER: 'redis', NODE: '1' },
      ...{ REDIS: redis.port, REDIS_PID: redis.server.pid },
    };
  for (const workers of CROWDS.split(',').map(Number)) {
    const found = Object.fromEntries(Object.keys(WAYS).map(name => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, env] of Object.entries(WAYS)) found[name].push(await figuresOf(env, workers));
    print(workers, found);
  }
  redis?.server.kill();
}

async function figuresOf(env, workers) {
  const child = fork(__filename, { env: { ...process.env, ...env, WORKERS: workers } });
  const [figures] = await once(child, 'message');
  await once(child, 'exit');
  return figures;
}

function print(workers, found) {
  console.log(`1 of ${workers} emits; Node ${process.version}`);
  const rows = Object.entries(found).map(([adapter, all]) => {
    const median = key => summary(all.map(figures => figures[key])).median;
    return {
      adapter,
      'emits/s': Math.round(1e6 / median('time')),
      'CPU of all processes, us an emit': median('cpu').toFixed(1),
    };
  });
  console.table(rows);
}

function runPrimary(cluster) {
  if (ADAPTER === 'cluster') require('@socket.io/cluster-adapter').setupPrimary();
  const workers = Array.from({ length: Number(WORKERS) }, (_, place) => cluster.fork({ PLACE: place }));
  cluster.on('message', (_worker, message) => {
    if (message.arrived !== undefined) workers[0].send(message);
    if (!message.figures) return;
    process.send(message.figures, () => process.disconnect());
    for (const worker of workers) worker.process.kill('SIGKILL');
  });
}

const createAdapter = {
  bus: () => require('../bus/socket.io').createAdapter(),
  cluster: () => require('@socket.io/cluster-adapter').createAdapter(),
  redis() {
    const Redis = require('ioredis');
    return require('@socket.io/redis-adapter').createAdapter(new Redis(REDIS), new Redis(REDIS));
  },
};

async function runWorker() {
  const { Server } = require('socket.io');
  const io = new Server();
  io.adapter(createAdapter[ADAPTER]());
  const place = Number(process.env.PLACE);
  join(io.of('/'), ([text]) => {
    const number = Number(text.match(/\d+(?=,"text")/)[0]);
    if (number % BATCH === 0) process.send({ arrived: number, place });
  });
  if (place === 0) process.send({ figures: await emit(io) });
}

/** A client that is in a room, as the adapter sees it. */
function join(namespace, written) {
  namespace.sockets.set('id', {
    id: 'id',
    client: { writeToEngine: written },
    notifyOutgoingListeners() {},
  });
  namespace.adapter.addAll('id', new Set(['room']));
}

async function emit(io) {
  const say = number => io.to('room').emit('said', { number, text: 'some text of a message' });
  let number = 0;
  let there = new Set();
  let go = () => {};
  process.on('message', ({ arrived, place }) => {
    if (arrived !== number) return;
    there.add(place);
    if (there.size === Number(WORKERS)) go();
  });
  // Who has just begun may not hear it yet.
  while (there.size < Number(WORKERS)) {
    say(0);
    await pause(20);
  }
  const batches = async times => {
    for (let batch = 0; batch < times; batch++) {
      const all = new Promise(resolve => {
        go = resolve;
      });
      there = new Set();
      for (let i = 0; i < BATCH; i++) say(++number);
      await all;
    }
  };
  await batches(WARMING);
  const pids = [process.ppid, ...proc.children(process.ppid), ...(REDIS_PID ? [Number(REDIS_PID)] : [])];
  return costOf(pids, BATCH * BATCHES, () => batches(BATCHES));
}

if (ADAPTER) {
  const cluster = require(NODE ? 'node:cluster' : '..');
  if (cluster.isPrimary) runPrimary(cluster);
  else runWorker();
} else {
  measure();
}
