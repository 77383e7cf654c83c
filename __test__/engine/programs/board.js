'use strict';

// What a worker's board says, of one that is idle, one that is stuck and one that writes nonsense on it.

const fs = require('node:fs');
const cluster = require('rust-cluster');
const proc = require('../../support/proc');
const { once } = require('node:events');
const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');

if (cluster.isPrimary) main();
else work();

/** Asks again until it is so. */
async function until(isSo) {
  while (!isSo()) await pause(5);
}

async function main() {
  const { boardOf } = require('../../../lib/cluster/worker_process');
  const [idle, stuck, broken] = ['idle', 'stuck', 'broken'].map(does => cluster.fork({ DOES: does }));
  const there = [idle, stuck, broken].map(worker => once(worker, 'message'));
  const board = boardOf(idle);
  // One that starts has not turned its loop, and is not said to be quiet. It has stopped itself, or is about to.
  await until(() => proc.state(idle.process.pid) === 'T');
  console.log('starts', board.read().turns, board.quiet());
  idle.process.kill('SIGCONT');

  await Promise.all(there);
  const port = await new Promise(resolve => {
    idle.once('listening', address => resolve(address.port));
    idle.send('listen');
  });
  console.log('not asked', board.read().open, board.read().heapUsed);
  board.sample(200);
  const clients = [1, 2, 3].map(() => net.connect(port, '127.0.0.1'));
  await until(() => board.read().open === 3 && board.read().taken === 3);
  for (const client of clients) client.destroy();
  await until(() => board.read().open === 0);
  const { taken, heapUsed, longestTurn, expectedWait } = board.read();
  console.log('sampled', taken, heapUsed > 2 ** 20, longestTurn > 0, Number.isFinite(expectedWait));

  stuck.send('loop');
  await once(stuck, 'message');
  await until(() => boardOf(stuck).quiet() > 300);
  const { turns } = boardOf(stuck).read();
  // The idle one is knocked at, and turns.
  const before = board.read().turns;
  await until(() => board.quiet() === 0 && board.read().turns > before + 1);
  console.log('stuck', boardOf(stuck).read().turns === turns, boardOf(stuck).quiet() > 300);

  broken.send('scribble');
  await once(broken, 'message');
  const reading = boardOf(broken).read();
  console.log(
    'bounded',
    Object.values(reading).every(value => value >= 0 && value <= Number.MAX_SAFE_INTEGER),
  );
  console.log('others', board.read().taken);

  for (const worker of [idle, stuck, broken]) worker.kill('SIGKILL');
  await Promise.all([idle, stuck, broken].map(worker => once(worker, 'exit')));
  console.log('gone', boardOf(idle));
}

function work() {
  if (process.env.DOES === 'idle') process.kill(process.pid, 'SIGSTOP');
  process.on('message', message => {
    if (message === 'listen') net.createServer(() => {}).listen(0, '127.0.0.1');
    else if (message === 'loop') {
      // Its last word is in the kernel when the callback is called.
      process.send('loops', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
    } else {
      scribble();
      process.send('scribbled');
    }
  });
  process.send('there');
}

/** Writes ones all over its own board. */
function scribble() {
  const maps = fs.readFileSync('/proc/self/maps', 'latin1');
  const found = maps.match(/^(\w+)-(\w+) .*rust-cluster-board/m);
  const [start, end] = found.slice(1).map(text => Number.parseInt(text, 16));
  const memory = fs.openSync('/proc/self/mem', 'r+');
  fs.writeSync(memory, Buffer.alloc(end - start, 0xff), 0, end - start, start);
}
