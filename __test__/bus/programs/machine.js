'use strict';

// A machine: a primary with two workers and a bridge. It has a name, and hears of others by a broker.

const cluster = require('rust-cluster');
const { BroadcastChannel, bridge } = require('rust-cluster/bus');
const CLIENTS = require('../../support/broker-clients');
const { say } = require('../../support/cases');

const { CLIENT, AT, MACHINE, PREFIX } = process.env;

async function primary() {
  const { transport, end } = await CLIENTS[CLIENT].connect(JSON.parse(AT));
  const joined = bridge(transport, { machine: MACHINE, prefix: PREFIX, channels: ['said', 'heard'] });
  joined.on('error', ({ code }) => say('error', code));
  process.once('SIGTERM', async () => {
    await joined.close();
    await end();
    cluster.disconnect();
  });
  const workers = [cluster.fork(), cluster.fork()];
  let there = 0;
  cluster.on('message', async () => {
    if (++there < workers.length) return;
    await joined.ready();
    say('ready', MACHINE);
  });
}

/** Says what it hears, and who has said it; in its order. */
async function worker() {
  const [said, heard] = [new BroadcastChannel('said'), new BroadcastChannel('heard')];
  const { slot } = cluster.worker;
  let last = 0;
  said.onmessage = ({ data, from }) => {
    const inOrder = data.n === undefined || data.n > last;
    if (data.n !== undefined) last = data.n;
    heard.postMessage({ data, from, by: slot, inOrder });
  };
  said.ongap = ({ missed }) => say(`gap ${slot}`, missed ?? 'unknown');
  await said.ready();
  process.send('there');
}

if (cluster.isPrimary) primary();
else worker();
