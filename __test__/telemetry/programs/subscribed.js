'use strict';

// What is published of a cluster, as lines: by MODE one worker that comes and goes; one that is alone, until SIGUSR2 has it
// leave; two; one that has room for one client, whom it never answers; or a supervisor that reloads two.

const diagnostics = require('node:diagnostics_channel');
const http = require('node:http');
const cluster = require('rust-cluster');

const NAMES = [
  'fork',
  'online',
  'listening',
  'disconnect',
  'exit',
  'stuck',
  'recovered',
  'rescued',
  'refused',
];
const OF_RELOADS = ['reload:start', 'reload:step', 'reload:end'];

const { MODE } = process.env;

function tell(name, { worker, address, ...rest }) {
  const told = { ...(worker && { worker: worker.id, slot: worker.slot }), ...rest };
  if (address) told.port = typeof address.port;
  if (typeof address === 'string') told.port = Number(address.split(':')[1]);
  console.log(`told ${name} ${JSON.stringify(told)}`);
}

if (cluster.isPrimary) {
  for (const name of [...NAMES, ...OF_RELOADS])
    diagnostics.subscribe(`rust-cluster:${name}`, message => tell(name, message));
  if (MODE === 'reload') {
    const { supervise } = require('../../../supervisor');
    const supervisor = supervise({ exec: __filename, workers: 2, name: 'shop' });
    supervisor.on('report', async ({ event }) => {
      if (event !== 'all-ready' || supervisor.begun) return;
      supervisor.begun = true;
      await supervisor.reload();
    });
  } else {
    if (MODE === 'alone')
      process.once('SIGUSR2', () => {
        cluster.workers[1].disconnect();
        console.log('asked to leave');
      });
    if (MODE === 'limited') cluster.setupPrimary({ dispatch: { maxConnections: 1, queueTimeout: 100 } });
    for (let count = 0; count < (MODE === 'stuck' ? 2 : 1); count++) cluster.fork();
    cluster.on('listening', (worker, { port }) => {
      console.log(`worker ${worker.id} at ${port}`);
      if (MODE === 'one') worker.disconnect();
    });
  }
} else {
  console.log(`attributes ${process.env.OTEL_RESOURCE_ATTRIBUTES}`);
  const server = http.createServer((_request, response) => {
    if (MODE === 'limited') console.log('it has one');
    else response.end(`${process.pid}`);
  });
  server.listen(0, '127.0.0.1');
}
