#!/usr/bin/env node
'use strict';

// node bench/bridge.js: what a message costs over a bridge, from one machine to another (two clusters here), beside the bare
// client of the broker, which publishes the same JSON in one process and parses it in another. Medians of ROUNDS rounds (5),
// in which all ways take turns. A broker takes part where it and its client are installed: nats-server and nats, redis-server
// and ioredis.

const { fork } = require('node:child_process');
const { once } = require('node:events');

const { missing, startBroker } = require('../__test__/support/broker');
const proc = require('../__test__/support/proc');
const { costOf } = require('./measure/cost');
const { summary } = require('./measure/statistics');

const { ROUNDS = 5, WAY, ROLE, BROKER, AT } = process.env;
/** Messages in one turn, until the other has acknowledged them. */
const BATCH = 500;
/** The first warm up. */
const WARMING = 20;
const BATCHES = 100;
/** Messages that are sent one by one, each when the one before was acknowledged. */
const SINGLE = 2000;

const WAYS = {
  'the bare client': 'bare',
  'a bridge, primary to primary': 'primary',
  'a bridge, worker to worker': 'worker',
};
const CLIENTS = { nats: 'nats', redis: 'ioredis' };

async function measure() {
  const ends = [];
  for (const kind of ['nats', 'redis']) {
    const lacks = missing(kind) ?? lacksClient(kind);
    if (lacks) {
      console.log(lacks);
      continue;
    }
    const broker = await startBroker({ after: end => ends.push(end) }, kind);
    const found = Object.fromEntries(Object.keys(WAYS).map(name => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, way] of Object.entries(WAYS)) found[name].push(await figuresOf(way, kind, broker));
    print(kind, found);
  }
  for (const end of ends) await end();
}

function lacksClient(kind) {
  try {
    require.resolve(CLIENTS[kind]);
  } catch {
    return `${CLIENTS[kind]} is not installed`;
  }
}

async function figuresOf(way, kind, broker) {
  const env = { ...process.env, WAY: way, BROKER: kind, AT: broker.port };
  const ends = [];
  for (const role of ['listen', 'speak']) {
    const end = fork(__filename, { env: { ...env, ROLE: role } });
    await once(end, 'message');
    ends.push(end);
  }
  const [, speaker] = ends;
  const pids = [broker.pid, ...ends.flatMap(({ pid }) => [pid, ...proc.children(pid)])];
  await told(speaker, { batches: WARMING });
  const burst = await costOf(pids, BATCH * BATCHES, () => told(speaker, { batches: BATCHES }));
  await told(speaker, { single: SINGLE / 10 });
  const single = await costOf(pids, SINGLE, () => told(speaker, { single: SINGLE }));
  for (const end of ends) {
    end.send({ end: true });
    await once(end, 'exit');
  }
  return {
    messages: 1e6 / burst.time,
    cpu: burst.cpu,
    trip: single.result.trip,
    way: single.result.way,
    tripCpu: single.cpu,
  };
}

async function told(speaker, order) {
  speaker.send(order);
  const [answer] = await once(speaker, 'message');
  return answer;
}

function print(kind, found) {
  const rows = Object.entries(found).map(([way, all]) => {
    const median = key => summary(all.map(figures => figures[key])).median;
    return {
      way,
      'messages/s': Math.round(median('messages')),
      'CPU of all, us a message': median('cpu').toFixed(1),
      'one by one: us until it is heard': Math.round(median('way')),
      'and acknowledged': Math.round(median('trip')),
      'CPU of all, us a message ': median('tripCpu').toFixed(0),
    };
  });
  console.log(`${kind}; Node ${process.version}`);
  console.table(rows);
}

async function run() {
  if (WAY === 'bare') return take(await bare[BROKER](), process);
  const cluster = require('..');
  const { BroadcastChannel, bridge } = require('../bus');
  if (cluster.isWorker) return take(await overBus(BroadcastChannel), process);
  const connection = await connect[BROKER]();
  const transport = require(`../bus/${BROKER}`)[BROKER](connection);
  const joined = bridge(transport, { prefix: 'bench', machine: ROLE, channels: ['all', 'ack'] });
  await joined.ready();
  if (WAY === 'primary') return take(await overBus(BroadcastChannel), process);
  const worker = cluster.fork();
  worker.on('message', message => process.send(message));
  process.on('message', message => worker.send(message));
  worker.on('exit', () => process.exit());
}

const connect = {
  nats: () => require('nats').connect({ port: AT }),
  redis: () => new (require('ioredis'))(AT),
};

/** Each way: to `say` something on a channel, and to `hear` it there. */
const bare = {
  async nats() {
    const connection = await connect.nats();
    return {
      say: (channel, message) => connection.publish(channel, JSON.stringify(message)),
      async hear(channel, heard) {
        connection.subscribe(channel, { callback: (_error, message) => heard(message.json()) });
        await connection.flush();
      },
    };
  },
  async redis() {
    const [publisher, subscriber] = [connect.redis(), connect.redis()];
    return {
      say: (channel, message) => publisher.publish(channel, JSON.stringify(message)),
      async hear(channel, heard) {
        subscriber.on('message', (_channel, text) => heard(JSON.parse(text)));
        await subscriber.subscribe(channel);
      },
    };
  },
};

async function overBus(BroadcastChannel) {
  const channels = Object.fromEntries(['all', 'ack'].map(name => [name, new BroadcastChannel(name)]));
  return {
    say: (channel, message) => channels[channel].postMessage(message),
    hear(channel, heard) {
      channels[channel].onmessage = ({ data }) => heard(data);
      return channels[channel].ready();
    },
  };
}

const now = () => Number(process.hrtime.bigint());

async function take({ say, hear }, parent) {
  parent.on('message', ({ end }) => end && process.exit());
  if (ROLE === 'listen') {
    await hear('all', ({ n, sent }) => {
      if (sent) say('ack', { way: now() - sent });
      else if (n % BATCH === 0) say('ack', { n });
    });
  } else {
    await speak({ say, hear }, parent);
  }
  parent.send({ ready: true });
}

async function speak({ say, hear }, parent) {
  let acknowledged = () => {};
  await hear('ack', message => acknowledged(message));
  const answer = act =>
    new Promise(resolve => {
      acknowledged = resolve;
      act();
    });
  let n = 0;
  const batch = () => {
    for (let i = 0; i < BATCH; i++) say('all', { n: ++n, text: 'some text of a message' });
  };
  parent.on('message', async ({ batches, single }) => {
    for (let i = 0; i < batches; i++) await answer(batch);
    const [trips, ways] = [[], []];
    for (let i = 0; i < single; i++) {
      const sent = now();
      const { way } = await answer(() => say('all', { sent, text: 'some text of a message' }));
      trips.push((now() - sent) / 1e3);
      ways.push(way / 1e3);
    }
    parent.send(single ? { trip: summary(trips).median, way: summary(ways).median } : { done: true });
  });
}

if (WAY) run();
else measure();
