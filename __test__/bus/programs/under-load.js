'use strict';

// A machine under load: its primary posts numbers, and two workers say what they have heard of whom.

const { once } = require('node:events');
const cluster = require('rust-cluster');
const { BroadcastChannel, bridge } = require('rust-cluster/bus');
const CLIENTS = require('../../support/broker-clients');
const { say } = require('../../support/cases');

const { CLIENT, AT, MACHINE } = process.env;

/** Milliseconds between two messages: whoever listens keeps up with it, on a machine that is busy. */
const PAUSE = 10;

/** Of so many messages the workers say how far they are. */
const STEP = 10;

async function primary() {
  const { transport, end } = await CLIENTS[CLIENT].connect(JSON.parse(AT));
  const joined = bridge(transport, { machine: MACHINE });
  joined.on('error', ({ code }) => say('error', code));
  for (const event of ['connected', 'disconnected']) joined.on(event, () => say('state', event));
  const workers = [cluster.fork(), cluster.fork()];
  await Promise.all(workers.map(worker => once(worker, 'message')));
  await joined.ready();
  const numbers = new BroadcastChannel('numbers');
  let n = 0;
  const load = setInterval(() => numbers.postMessage({ n: ++n }), PAUSE);
  process.once('SIGTERM', async () => {
    clearInterval(load);
    numbers.close();
    await joined.close();
    await end();
    const exits = workers.map(worker => once(worker, 'exit'));
    cluster.disconnect();
    await Promise.all(exits);
    // A connection that NATS's client has given up, and that was made when the cable was mended, it leaves open.
    process.exit();
  });
}

async function worker() {
  const numbers = new BroadcastChannel('numbers');
  const { slot } = cluster.worker;
  /** Of each machine. */
  const heard = {};
  /** How often it was told that nobody knows how many are missing; and how many are. */
  const gaps = { unknown: 0, missed: 0 };
  numbers.onmessage = ({ data: { n }, from }) => {
    const machine = from.machine ?? MACHINE;
    heard[machine] ??= { slot, machine, first: n, count: 0, last: 0, inOrder: true };
    const of = heard[machine];
    if (n <= of.last) of.inOrder = false;
    of.last = n;
    of.count++;
    if (of.count % STEP === 0) say('heard', { ...of, ...gaps });
  };
  numbers.ongap = ({ missed }) => {
    if (missed === undefined) gaps.unknown++;
    else gaps.missed += missed;
    say('gap', { slot, missed: missed ?? null });
  };
  await numbers.ready();
  process.send('there');
}

if (cluster.isPrimary) primary();
else worker();
