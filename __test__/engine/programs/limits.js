'use strict';

// A worker that does as DO says, beside a good one, under limits.

const fs = require('node:fs');
const cluster = require('rust-cluster');

const LIMIT = 1024 * 1024;
/** As many messages of 64 kB as are more than the limit, if they are joined. */
const PARTS = 18;

if (cluster.isPrimary) {
  cluster.setupPrimary({ maxMessageSize: 65536, maxQueuedBytes: LIMIT });
  const good = cluster.fork({ DO: 'answer' });
  const bad = cluster.fork();
  bad.on('error', ({ code }) => console.log(`error ${code}`));
  bad.on('disconnect', () => {
    good.send('still there?');
    // One that runs its loop exits by itself.
    if (process.env.DO === 'sleep') bad.process.kill('SIGKILL');
  });
  good.on('message', text => {
    console.log(text);
    good.disconnect();
  });
  bad.once('message', () => {
    // Joined in one turn it would be too much: a worker that reads is not ended for that.
    const part = 'x'.repeat(64 * 1024);
    if (process.env.DO === 'sleep') while (bad.isConnected()) bad.send(part);
    else for (let sent = 0; sent < PARTS; sent++) bad.send(part);
  });
} else if (process.env.DO === 'answer') {
  process.on('message', () => process.send('still there'));
} else if (process.env.DO === 'sleep') {
  process.send('ready');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
} else {
  // What a worker of ours does not send: more than is allowed, with what an envelope takes.
  const header = Buffer.from([0, 0, 0, 0, 1, 0, 0, 0]);
  header.writeUInt32LE(2 * 65536 + 1);
  let left = PARTS;
  process.on('message', () => --left === 0 && fs.writeSync(process.channel.fd, header));
  process.send('ready');
}
