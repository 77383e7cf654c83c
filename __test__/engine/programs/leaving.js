'use strict';

// WORKERS workers on PORT that are blocked while CLIENTS clients connect, and that leave then: WHO says by whose wish.

const cluster = require('rust-cluster');
const { readSync } = require('node:fs');
const net = require('node:net');

const { WORKERS, CLIENTS, WHO, PORT } = process.env;

if (cluster.isPrimary) {
  cluster.setupPrimary({ stdio: ['pipe', 'inherit', 'inherit', 'ipc'] });
  for (let i = 0; i < WORKERS; i++) cluster.fork();
  const workers = Object.values(cluster.workers);
  const listening = new Set();
  cluster.on('listening', async (worker, address) => {
    listening.add(worker);
    if (listening.size < WORKERS) return;
    await Promise.all(workers.map(block));
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(address)));
    if (WHO === 'primary') cluster.disconnect();
    else for (const worker of workers) worker.send('leave');
    for (const worker of workers) worker.process.stdin.end();
    const outcomes = await Promise.all(clients.map(outcome));
    console.log(`${outcomes.filter(text => text === 'served').length} served`);
    const late = await connect(address).catch(({ code }) => code);
    console.log(`a late one: ${late}`);
  });
} else {
  let served = 0;
  const server = net.createServer(socket => {
    served++;
    socket.end('served');
  });
  server.listen(PORT, '127.0.0.1');
  process.on('internalMessage', ({ act }) => {
    if (act === 'disconnect') console.log(`told to leave after ${served} connections`);
  });
  process.on('message', message => {
    if (message === 'leave') return cluster.worker.disconnect();
    process.send('blocked');
    // Until the primary closes its end.
    readSync(0, Buffer.alloc(1));
  });
}

function block(worker) {
  return new Promise(resolve => {
    worker.once('message', resolve);
    worker.send('block');
  });
}

function connect({ address: host, port }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port }, () => resolve(socket));
    socket.once('error', reject);
  });
}

function outcome(socket) {
  return new Promise(resolve => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', chunk => {
      text += chunk;
    });
    socket.on('error', ({ code }) => resolve(code));
    socket.on('close', () => resolve(text));
  });
}
