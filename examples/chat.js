'use strict';

// A chat across workers, and across machines where there is a broker. Each client is served by any worker.
//
//   node examples/chat.js                    or, on another port:  PORT=8001 node ...
//   nc 127.0.0.1 8000                        in several terminals: what one writes the others read
//
// Several machines, or the same twice, on two ports; the client is one that you have installed (nats, or ioredis):
//
//   NATS=127.0.0.1:4222 PORT=8001 node examples/chat.js
//   REDIS=redis://127.0.0.1:6379 PORT=8001 node examples/chat.js

const net = require('node:net');
const { availableParallelism, hostname } = require('node:os');
const readline = require('node:readline');
const cluster = require('rust-cluster');
const { BroadcastChannel, bridge } = require('rust-cluster/bus');

const { PORT = 8000, NATS, REDIS, MACHINE = hostname() } = process.env;

async function broker() {
  if (NATS) {
    const { connect } = require('nats');
    const { nats } = require('rust-cluster/bus/nats');
    // It is waited for, too, if it is not there yet.
    return nats(await connect({ servers: NATS, maxReconnectAttempts: -1, waitOnFirstConnect: true }));
  }
  const Redis = require('ioredis');
  const { redis } = require('rust-cluster/bus/redis');
  return redis(new Redis(REDIS));
}

async function primary() {
  // Nobody waits for a broker.
  for (let count = Math.max(2, availableParallelism()); count > 0; count--) cluster.fork();
  if (!NATS && !REDIS) return;
  const joined = bridge(await broker(), { prefix: 'chat', machine: MACHINE, channels: ['room'] });
  joined.on('disconnected', () => console.log('no broker: this machine chats alone'));
  joined.on('error', ({ message }) => console.error(message));
  await joined.ready();
  console.log('joined');
}

function worker() {
  const clients = new Set();
  const room = new BroadcastChannel('room');
  const tell = (line, except) => {
    for (const client of clients) if (client !== except) client.write(`${line}\n`);
  };
  const nameOf = from => (from.machine ? `${from.machine}/${from.slot}` : `${MACHINE}/${from}`);
  room.onmessage = ({ data, from }) => tell(`${nameOf(from)} ${data}`);
  room.ongap = ({ missed = 'some' }) => tell(`(${missed} lines are missing)`);
  const server = net.createServer(client => {
    clients.add(client);
    client.on('close', () => clients.delete(client)).on('error', () => {});
    readline.createInterface({ input: client }).on('line', line => {
      room.postMessage(line);
      tell(`${nameOf(cluster.worker.slot)} ${line}`, client);
    });
    client.write('welcome\n');
  });
  room.ready().then(() => server.listen(PORT, '127.0.0.1'));
}

if (cluster.isPrimary) primary();
else worker();
