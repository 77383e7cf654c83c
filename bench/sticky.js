#!/usr/bin/env node
'use strict';

// node bench/sticky.js: what sticky clients cost the primary. First each policy, by short connections; then Socket.IO's
// polling beside @socket.io/sticky, where each request comes on a connection of its own, and where clients keep theirs. Then
// a proxy's pool, whose connections bring requests of many clients: here the time of the workers counts, too. ONLY=pool
// leaves the rest out. Medians of ROUNDS rounds (5), in which all take turns. The clients are in this process and set the rate: what counts is the
// processor's time in the primary, all its threads.

const { spawn } = require('node:child_process');
const http = require('node:http');
const net = require('node:net');

const proc = require('../__test__/support/proc');
const { summary } = require('./measure/statistics');

const { ROUNDS: rounds = 5, ONLY } = process.env;
const ROUNDS = Number(rounds);
const CLIENTS = 16;
const WARM_UP = 500;
const LENGTH = 1500;

const sticky = by => ({ policy: 'sticky', sticky: { by, owner: 'strict' } });
const POLICIES = {
  'least busy': 'least-busy',
  'round robin': 'round-robin',
  'by address': sticky('address'),
  'by parameter': sticky('socket.io'),
  'by cookie': sticky({ cookie: 'connect.sid' }),
  'by header': sticky({ header: 'X-User' }),
};
const SOCKET_IO = {
  'rust-cluster': { SERVER: 'socket.io' },
  'rust-cluster, kept connections': { SERVER: 'socket.io', kept: true },
  '@socket.io/sticky on rust-cluster': { SERVER: '@socket.io/sticky' },
  "@socket.io/sticky on Node's cluster": { SERVER: '@socket.io/sticky', CLUSTER: 'node' },
};
const perRequest = by => ({ policy: 'sticky', sticky: { by, owner: 'strict', per: 'request' } });
const POOLS = {
  'kept, and not sticky': { dispatch: 'least-busy', ids: ['0~a', '1~a'] },
  'Connection: close': { dispatch: sticky('socket.io'), ids: ['0~a', '1~a'], close: true },
  "per: 'request', a client of the other worker each time": {
    dispatch: perRequest('socket.io'),
    ids: ['0~a', '1~a'],
  },
  "per: 'request', clients in any order": {
    dispatch: perRequest('socket.io'),
    ids: ['0~a', '1~a', '1~a', '0~a', '0~a', '0~a', '1~a', '1~a'],
  },
  "per: 'request', always the same client": { dispatch: perRequest('socket.io'), ids: ['0~a'] },
};
const HEAD = [
  'GET /socket.io/?EIO=4&transport=polling&sid=1~abcdefghijklmnopqrst HTTP/1.1',
  'Host: h',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept: */*',
  'X-User: somebody',
  'Cookie: theme=dark; connect.sid=s%3A1~abcdefghij.signature',
  'Connection: close',
  '\r\n',
].join('\r\n');

if (process.env.SERVER) serve(process.env);
else main();

function serve({ SERVER, CLUSTER, DISPATCH }) {
  const cluster = require(CLUSTER === 'node' ? 'node:cluster' : 'rust-cluster');
  const relay = SERVER === '@socket.io/sticky' && require('@socket.io/sticky');
  if (cluster.isPrimary) {
    let ready = 0;
    cluster.on('message', (_worker, message) => message === 'ready' && ++ready === 2 && listens());
    cluster.on('listening', (_worker, { port }) => ++ready === 2 && console.log(port));
    const server = http.createServer();
    const listens = () => server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    if (relay) {
      cluster.setupPrimary({ serialization: 'advanced' });
      relay.setupMaster(server, { loadBalancingMethod: 'round-robin' });
    } else {
      cluster.setupPrimary({ dispatch: JSON.parse(DISPATCH) });
    }
    cluster.fork();
    cluster.fork();
    return;
  }
  const server = http.createServer((_request, response) => response.end('ok'));
  if (SERVER !== 'http') {
    const io = new (require('socket.io').Server)(server);
    io.on('connection', socket => socket.on('ask', () => socket.emit('answer')));
    if (relay) {
      relay.setupWorker(io);
      process.send('ready');
      return;
    }
    io.engine.generateId = require('rust-cluster/sticky').generateId;
  }
  server.listen(0, '127.0.0.1');
}

/** What is done over and over costs the primary so many microseconds each time; and how often it was done in a second. */
async function measure(env, client, processes = pid => [pid]) {
  const options = { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] };
  const { pid, stdout } = spawn(process.execPath, [__filename], options);
  const port = Number(await new Promise(resolve => stdout.once('data', resolve)));
  const state = { done: 0, running: true };
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (state.running) await client(port, state);
  });
  const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
  await pause(WARM_UP);
  const all = processes(pid);
  const cpuOfAll = () => all.reduce((sum, one) => sum + proc.cpu(one), 0);
  const [cpu, done] = [cpuOfAll(), state.done];
  await pause(LENGTH);
  const count = state.done - done;
  const cost = (cpuOfAll() - cpu) / count;
  state.running = false;
  await Promise.all(clients);
  process.kill(pid, 'SIGKILL');
  return { cost, rate: (count * 1000) / LENGTH };
}

/** A process and its workers. */
function withWorkers(pid) {
  return [pid, ...proc.children(pid)];
}

/** A connection of a proxy's pool, on which clients ask in this order; or one for each request. */
function pool(port, state, { ids, close = false }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let next = state.done;
    const ask = () => {
      const head = HEAD.replace(/sid=[^ ]*/, `sid=${ids[next++ % ids.length]}`);
      socket.write(close ? head : head.replace('Connection: close', 'Connection: keep-alive'));
    };
    let text = '';
    socket.on('connect', ask).on('data', data => {
      text += data;
      if (!text.endsWith('\r\n\r\nok')) return;
      text = '';
      state.done++;
      if (state.running && !close) ask();
      else socket.end();
    });
    socket.on('error', reject).on('close', resolve);
  });
}

function connect(port, state) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(HEAD)).resume();
    socket.on('error', reject);
    socket.on('close', () => resolve(state.done++));
  });
}

/** A session of Socket.IO's: twenty questions, each sent and its answer fetched. */
async function converse(port, state, agent) {
  const path = '/socket.io/?EIO=4&transport=polling';
  const { sid } = JSON.parse((await request({ port, agent, path })).slice(1));
  for (const message of ['40', ...Array(20).fill('42["ask"]')]) {
    await request({ port, agent, path: `${path}&sid=${sid}`, method: 'POST' }, message);
    await request({ port, agent, path: `${path}&sid=${sid}` });
    state.done += 2;
    if (!state.running) break;
  }
}

function request(options, body) {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'text/plain;charset=UTF-8', 'Content-Length': body?.length ?? 0 };
    const asked = http.request({ host: '127.0.0.1', ...options, headers }, async response => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve(text);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

async function main() {
  const rows = new Map();
  const add = (name, run) => rows.set(name, [...(rows.get(name) ?? []), run]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { dispatch, ...how }] of Object.entries(POOLS)) {
      const env = { SERVER: 'http', DISPATCH: JSON.stringify(dispatch) };
      const client = (port, state) => pool(port, state, how);
      add(`a pool, ${name}`, await measure(env, client, withWorkers));
    }
    if (ONLY === 'pool') continue;
    for (const [name, dispatch] of Object.entries(POLICIES)) {
      const env = { SERVER: 'http', DISPATCH: JSON.stringify(dispatch) };
      add(`connections, ${name}`, await measure(env, connect));
    }
    for (const [name, { kept = false, ...server }] of Object.entries(SOCKET_IO)) {
      const env = { ...server, DISPATCH: JSON.stringify(sticky('socket.io')) };
      // A session that @socket.io/sticky does not find yet begins anew.
      const client = (port, state) =>
        converse(port, state, new http.Agent({ keepAlive: kept, maxSockets: kept ? 1 : Infinity })).catch(
          () => {},
        );
      add(`Socket.IO, ${name}`, await measure(env, client));
    }
  }
  for (const [name, runs] of rows) {
    const cost = summary(runs.map(run => run.cost)).median;
    const rate = summary(runs.map(run => run.rate)).median;
    console.log(
      `${name.padEnd(64)} ${cost.toFixed(1).padStart(7)} us of ${name.startsWith('a pool') ? 'all processes' : 'the primary'}, ${rate.toFixed(0)}/s`,
    );
  }
}
