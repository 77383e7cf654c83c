'use strict';

// The first process of a namespace. Its workers leave processes behind that end, and end themselves; so do children of
// Node's. It says which of them it was told of, and when no zombie is left.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const cluster = require('../../../index');
const proc = require('../../support/proc');

if (cluster.isWorker) {
  // The shell ends at once, and what it has started becomes the first process's: one that has ended by then too, and one
  // that ends when the worker has said so.
  const shell = spawn('sh', ['-c', 'true & (read line; exit 3) <&3 &'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  shell.once('exit', () => {
    process.once('message', code => {
      shell.stdio[3].end('go\n', () => process.exit(code));
    });
    process.send('left behind');
  });
} else {
  require('../../../lib/supervisor/orphans').reapOrphans();
  main();
}

async function main() {
  const codes = [];
  let seen = false;
  const round = async code => {
    const worker = cluster.fork();
    await once(worker, 'message');
    worker.send(code);
    const child = spawn('sh', ['-c', `exit ${code}`]);
    const ends = await Promise.all([once(worker, 'exit'), once(child, 'exit')]);
    codes.push(...ends.map(([exit]) => exit));
    // Nobody reaps them sooner than a second after their end.
    seen ||= proc.zombies(process.pid) > 0;
  };
  for (let i = 0; i < 5; i++) await Promise.all([round(7), round(8)]);
  // A child that ends while the loop stands still is a zombie for longer than the reaper waits.
  const late = spawn('sh', ['-c', 'exit 9']);
  for (const end = Date.now() + 1500; Date.now() < end; );
  codes.push((await once(late, 'exit'))[0]);
  while (proc.zombies(process.pid) > 0) await sleep(20);
  console.log(JSON.stringify({ pid: process.pid, codes: codes.sort(), seen }));
  process.exit();
}
