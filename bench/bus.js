#!/usr/bin/env node
'use strict';

// node bench/bus.js: what one worker says to all others, round trips of a request, also while the primary's loop does not
// turn, and how soon the next has the lock of one that is killed; by each way. Medians of ROUNDS rounds (5), in which all
// ways take turns. Redis takes part where redis-server and ioredis are installed. CROWDS: how many workers (2,5,17: one
// speaks, and 1, 4, 16 listen).

const { fork } = require('node:child_process');
const { once } = require('node:events');

const proc = require('../__test__/support/proc');
const { costOf } = require('./measure/cost');
const { startRedis } = require('./measure/redis');
const { summary } = require('./measure/statistics');

const { ROUNDS = 5, CROWDS = '2,5,17', REDIS, WAY } = process.env;
/** Broadcasts until all have acknowledged that they have heard them. */
const BATCH = 500;
/** The first warm up. */
const WARMING = 20;
const BATCHES = 100;
const TRIPS = 2000;
/** Milliseconds for which the primary's loop does not turn. */
const BLOCK = 1000;
/** How often the holder of a lock is killed. */
const KILLED = 9;

const WAYS = {
  'rust-cluster/bus': { WAY: 'bus' },
  'by the primary of rust-cluster': { WAY: 'forward' },
  "by the primary of Node's cluster": { WAY: 'forward', NODE: '1' },
};

async function measure() {
  const redis = await startRedis('ioredis');
  if (redis) WAYS['Redis, ioredis'] = { WAY: 'redis', REDIS: redis.port, REDIS_PID: redis.server.pid };
  for (const workers of CROWDS.split(',').map(Number)) {
    const found = Object.fromEntries(Object.keys(WAYS).map(name => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, env] of Object.entries(WAYS))
        found[name].push(await figuresOf({ ...env, WORKERS: workers }));
    print(workers, found);
  }
  redis?.server.kill();
  const { handover } = await figuresOf({ WAY: 'lock', WORKERS: KILLED + 1 });
  const [median, most] = [summary(handover).median, Math.max(...handover)].map(us => (us / 1e3).toFixed(2));
  console.log(
    `from kill -9 of a lock's holder until the next has it: ${median} ms, ${most} ms at most (of ${KILLED})`,
  );
}

async function figuresOf(env) {
  const child = fork(__filename, { env: { ...process.env, ...env } });
  const [figures] = await once(child, 'message');
  await once(child, 'exit');
  return figures;
}

function print(workers, found) {
  const rows = Object.entries(found).map(([way, all]) => {
    const median = key => summary(all.map(figures => figures[key])).median;
    return {
      way,
      'broadcasts/s': Math.round(median('broadcasts')),
      'CPU of all, us a broadcast': median('cpu').toFixed(1),
      'a round trip, us': Math.round(median('trip')),
      'CPU of all, us a round trip': median('tripCpu').toFixed(0),
      'primary blocked, us': Math.round(median('blocked')) || '-',
    };
  });
  console.log(`1 speaks, ${workers - 1} listen; Node ${process.version}`);
  console.table(rows);
}

function runCluster() {
  const cluster = require(process.env.NODE ? 'node:cluster' : '..');
  const workers = Number(process.env.WORKERS);
  if (cluster.isPrimary) runPrimary(cluster, workers);
  else if (WAY === 'lock') holdLock();
  else runWorker(workers);
}

function runPrimary(cluster, count) {
  const workers = Array.from({ length: count }, (_, place) => cluster.fork({ PLACE: place }));
  const handover = [];
  let [holder, killed, waits] = [undefined, undefined, 0];
  cluster.on('message', (worker, { all, to, ...message }) => {
    if (all) {
      for (const other of workers) if (other !== worker) other.send(message);
    } else if (to !== undefined) {
      workers[to].send(message);
    } else if (message.block) {
      for (const end = Date.now() + message.block; Date.now() < end; );
    } else if (message.holds || message.waits) {
      if (message.holds) {
        if (killed) handover.push(Number(BigInt(message.holds) - killed) / 1e3);
        holder = worker;
      } else {
        waits++;
      }
      if (handover.length === KILLED) return end({ handover });
      if (waits < count || !holder) return;
      killed = process.hrtime.bigint();
      holder.process.kill('SIGKILL');
      holder = undefined;
    } else if (message.figures) {
      end(message.figures);
    }
  });
  function end(figures) {
    process.send(figures, () => process.disconnect());
    for (const other of workers) other.process.kill('SIGKILL');
  }
}

/** Who has it says when; and each says that it waits. */
async function holdLock() {
  const { locks } = require('../bus');
  locks.request('x', () => {
    process.send({ holds: `${process.hrtime.bigint()}` });
    return new Promise(() => {});
  });
  await locks.query();
  process.send({ waits: true });
}

/** The ways to talk: `say` to all others, `tell` one, `ask` one and wait for the answer. */
const talk = {
  forward(heard) {
    const asked = waiting();
    const tell = (to, message) => process.send({ to, ...message });
    process.on('message', message => {
      if (message.ping !== undefined) tell(message.ping, { pong: message.id });
      else if (message.pong !== undefined) asked.answer(message.pong);
      else heard(message);
    });
    return {
      say: message => process.send({ all: true, ...message }),
      tell,
      ask: (to, place) => asked.ask(id => tell(to, { ping: place, id })),
    };
  },
  bus(heard, place) {
    const { BroadcastChannel } = require('../bus');
    const [all, one] = [new BroadcastChannel('all'), new BroadcastChannel('one')];
    all.onmessage = ({ data }) => heard(data);
    one.answer(data => (data.ping === undefined ? heard(data) : data));
    return {
      ready: one.ready(),
      say: message => all.postMessage(message),
      tell: (to, message) => one.request(message, { to }).catch(() => {}),
      ask: to => one.request({ ping: place }, { to }),
    };
  },
  redis(heard, place) {
    const Redis = require('ioredis');
    const [publisher, subscriber] = [new Redis(REDIS), new Redis(REDIS)];
    const asked = waiting();
    const tell = (to, message) => publisher.publish(`${to}`, JSON.stringify(message));
    subscriber.on('message', (_channel, text) => {
      const message = JSON.parse(text);
      if (message.ping !== undefined) tell(message.ping, { pong: message.id });
      else if (message.pong !== undefined) asked.answer(message.pong);
      else if (message.from !== place) heard(message);
    });
    return {
      ready: subscriber.subscribe('all', `${place}`),
      say: message => publisher.publish('all', JSON.stringify({ from: place, ...message })),
      tell,
      ask: (to, place) => asked.ask(id => tell(to, { ping: place, id })),
    };
  },
};

/** Who waits for an answer, by the number of the question. */
function waiting() {
  const asked = new Map();
  let last = 0;
  return {
    ask: send =>
      new Promise(resolve => {
        asked.set(++last, resolve);
        send(last);
      }),
    answer(id) {
      asked.get(id)?.();
      asked.delete(id);
    },
  };
}

async function runWorker(count) {
  const place = Number(process.env.PLACE);
  const heard = { last: 0, acknowledged: 0, there: new Set() };
  let next = () => {};
  const { ready, say, tell, ask } = talk[WAY](message => {
    if (message.n !== undefined) {
      heard.last = message.n;
      if (message.n % BATCH === 0) tell(0, { ack: true });
    } else if (message.there) heard.there.add(message.there);
    else if (message.ack) heard.acknowledged++;
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

  let said = 0;
  const speak = async batches => {
    for (let batch = 0; batch < batches; batch++) {
      heard.acknowledged = 0;
      for (let i = 0; i < BATCH; i++) say({ n: ++said, text: 'some text of a message' });
      await until(() => heard.acknowledged === count - 1);
    }
  };
  await speak(WARMING);
  const pids = clusterOf(process.ppid);
  const broadcasts = await costOf(pids, BATCH * BATCHES, () => speak(BATCHES));

  const trips = async number => {
    const times = [];
    for (let i = 0; i < number; i++) {
      const sent = performance.now();
      await ask(1, place);
      times.push((performance.now() - sent) * 1e3);
    }
    return summary(times).median;
  };
  let trip;
  const ofTrips = await costOf(pids, TRIPS, async () => {
    trip = await trips(TRIPS);
  });
  let blocked;
  if (WAY !== 'forward') {
    process.send({ block: BLOCK });
    blocked = await trips(TRIPS / 10);
  }
  process.send({
    figures: { broadcasts: 1e6 / broadcasts.time, cpu: broadcasts.cpu, trip, tripCpu: ofTrips.cpu, blocked },
  });
}

/** The processes of a cluster, and the broker. */
const clusterOf = primary => [
  primary,
  ...proc.children(primary),
  ...(WAY === 'redis' ? [Number(process.env.REDIS_PID)] : []),
];

if (WAY) runCluster();
else measure();
