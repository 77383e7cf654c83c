#!/usr/bin/env node
'use strict';

// node bench/bus.js: what one worker says to the others, and round trips between two workers, by each way. Medians of ROUNDS
// rounds (5), in which all ways take turns. REDIS=port and REDIS_PID add a Redis server, if ioredis is installed.

const { fork } = require('node:child_process');
const { once } = require('node:events');

const proc = require('../__test__/support/proc');
const { summary } = require('./measure/statistics');

const { ROUNDS = 5, REDIS, WAY } = process.env;
const BATCH = 500;
const BATCHES = 20;
const TRIPS = 2000;
/** Milliseconds for which the primary's loop does not turn. */
const BLOCK = 1000;
const CROWDS = [2, 4, 16];
const WAYS = {
  'rust-cluster/bus': { WAY: 'bus' },
  'by the primary of rust-cluster': { WAY: 'forward' },
  "by the primary of Node's cluster": { WAY: 'forward', NODE: '1' },
  ...(REDIS && { Redis: { WAY: 'redis' } }),
};

async function measure() {
  for (const workers of CROWDS) {
    const found = Object.fromEntries(Object.keys(WAYS).map(name => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, env] of Object.entries(WAYS)) {
        const child = fork(__filename, { env: { ...process.env, ...env, WORKERS: workers } });
        const [figures] = await once(child, 'message');
        found[name].push(figures);
        await once(child, 'exit');
      }
    print(workers, found);
  }
}

function print(workers, found) {
  const rows = Object.entries(found).map(([name, all]) => {
    const median = key => summary(all.map(figures => figures[key])).median;
    return {
      way: name,
      'broadcasts/s': Math.round(median('broadcasts')),
      'CPU of all, us a broadcast': median('cpu').toFixed(1),
      'a round trip, us': Math.round(median('trip')),
      'primary blocked, us': Math.round(median('blocked')) || '-',
    };
  });
  console.log(`${workers} workers, Node ${process.version}`);
  console.table(rows);
}

function runCluster() {
  const cluster = require(process.env.NODE ? 'node:cluster' : '..');
  const workers = Number(process.env.WORKERS);
  if (cluster.isPrimary) runPrimary(cluster, workers);
  else runWorker(cluster, workers);
}

function runPrimary(cluster, count) {
  const workers = Array.from({ length: count }, (_, place) => cluster.fork({ PLACE: place }));
  cluster.on('message', (worker, { all, to, ...message }) => {
    if (all) {
      for (const other of workers) if (other !== worker) other.send(message);
    } else if (to !== undefined) {
      workers[to].send(message);
    } else if (message.block) {
      for (const end = Date.now() + message.block; Date.now() < end; );
    } else if (message.figures) {
      process.send(message.figures, () => process.disconnect());
      for (const other of workers) other.process.kill('SIGKILL');
    }
  });
}

/** The ways to talk: `say` to all others, `tell` one, and what is heard. */
const talk = {
  forward: heard => {
    process.on('message', heard);
    return {
      say: message => process.send({ all: true, ...message }),
      tell: (to, message) => process.send({ to, ...message }),
    };
  },
  bus(heard, place) {
    const { BroadcastChannel } = require('../bus');
    const [all, own] = [new BroadcastChannel('all'), new BroadcastChannel(`${place}`)];
    all.onmessage = own.onmessage = ({ data }) => heard(data);
    const others = new Map();
    return {
      ready: own.ready(),
      say: message => all.postMessage(message),
      tell(to, message) {
        if (!others.has(to)) others.set(to, new BroadcastChannel(`${to}`));
        others.get(to).postMessage(message);
      },
    };
  },
  redis(heard, place) {
    const Redis = require('ioredis');
    const [publisher, subscriber] = [new Redis(REDIS), new Redis(REDIS)];
    subscriber.on('message', (_channel, text) => {
      const message = JSON.parse(text);
      if (message.from !== place) heard(message);
    });
    return {
      ready: subscriber.subscribe('all', `${place}`),
      say: message => publisher.publish('all', JSON.stringify({ from: place, ...message })),
      tell: (to, message) => publisher.publish(`${to}`, JSON.stringify(message)),
    };
  },
};

async function runWorker(_cluster, count) {
  const place = Number(process.env.PLACE);
  const heard = { last: 0, acknowledged: 0, there: new Set(), pongs: 0 };
  let next = () => {};
  const { ready, say, tell } = talk[WAY](message => {
    if (message.n !== undefined) {
      heard.last = message.n;
      if (message.n % BATCH === 0) tell(0, { ack: true });
    } else if (message.ping !== undefined) tell(message.ping, { pong: true });
    else if (message.there) heard.there.add(message.there);
    else if (message.ack) heard.acknowledged++;
    else if (message.pong) heard.pongs++;
    next();
  }, place);
  const until = condition =>
    new Promise(resolve => {
      next = () => condition() && resolve();
      next();
    });
  await ready;
  if (place > 0) {
    // The first may not hear it yet.
    const announce = setInterval(() => {
      if (heard.last === 0) tell(0, { there: place });
      else clearInterval(announce);
    }, 50);
    return;
  }
  await until(() => heard.there.size === count - 1);

  const pids = clusterOf(process.ppid);
  const before = cpuOf(pids);
  const start = performance.now();
  for (let batch = 0; batch < BATCHES; batch++) {
    heard.acknowledged = 0;
    for (let i = 1; i <= BATCH; i++) say({ n: batch * BATCH + i, text: 'some text of a message' });
    await until(() => heard.acknowledged === count - 1);
  }
  const broadcasts = (BATCH * BATCHES * 1e3) / (performance.now() - start);
  const cpu = (cpuOf(pids) - before) / (BATCH * BATCHES);

  const trips = async number => {
    const times = [];
    for (let i = 0; i < number; i++) {
      const { pongs } = heard;
      const sent = performance.now();
      tell(1, { ping: 0 });
      await until(() => heard.pongs > pongs);
      times.push((performance.now() - sent) * 1e3);
    }
    return summary(times).median;
  };
  const trip = await trips(TRIPS);
  let blocked;
  if (WAY === 'bus') {
    process.send({ block: BLOCK });
    blocked = await trips(TRIPS / 10);
  }
  process.send({ figures: { broadcasts, cpu, trip, blocked } });
}

/** The processes of a cluster, and the broker. */
const clusterOf = primary => [
  primary,
  ...proc.children(primary),
  ...(WAY === 'redis' ? [Number(process.env.REDIS_PID)] : []),
];

const cpuOf = pids => pids.reduce((sum, pid) => sum + proc.cpu(pid), 0);

if (WAY) runCluster();
else measure();
