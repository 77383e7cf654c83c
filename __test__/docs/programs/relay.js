'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  cluster.on('message', (sender, { to, text }) => {
    const receiver = Object.values(cluster.workers).find(({ process }) => process.pid === to);
    receiver.send({ from: sender.process.pid, text });
  });

  const asked = cluster.fork();
  const asking = cluster.fork();
  asking.send({ from: asked.process.pid, text: 'say hello to me' });
} else {
  process.on('message', ({ from, text }) => {
    console.log(`${process.pid} got '${text}' of ${from}`);
    if (text === 'say hello to me') process.send({ to: from, text: 'hello' });
    if (text === 'hello') process.send({ to: from, text: 'hello to you' });
  });
}
