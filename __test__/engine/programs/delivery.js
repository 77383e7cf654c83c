'use strict';

// A worker that sends COUNT messages and does not let its event loop turn after that: END says how it ends.

const cluster = require('rust-cluster');

const { COUNT, END } = process.env;

if (cluster.isPrimary) {
  cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
  const worker = cluster.fork();
  let received = 0;
  worker.on('message', ({ number }) => {
    if (number !== received) console.log(`out of order: ${number} after ${received} messages`);
    if (++received < Number(COUNT)) return;
    console.log('all received');
    if (END === 'loop') worker.process.kill('SIGKILL');
  });
} else {
  for (let number = 0; number < COUNT; number++) process.send({ number });
  if (END === 'loop') for (;;);
  else if (END === 'exit') process.exit(0);
  else if (END === 'throw') throw new Error('on purpose');
  else process.disconnect();
}
