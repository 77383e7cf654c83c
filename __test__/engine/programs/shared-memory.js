'use strict';

// Long strings, that lie in shared memory, and what becomes of them. WHO, of which each has two workers, but where it says otherwise:
//   workers  two that exit at once when they have sent theirs
//   primary  which sends to both, one of which is stopped, more than the memory holds
//   limit    a primary that sends to one worker until it may not
//   turns    one message after the other, there and back; then many, to one that is stopped, and from one while the primary is
//   killed   workers that die when they have sent one
//   orphans  workers whose primary dies when it has sent them one
//   leaves   workers that are told many, tell many, disconnect and live on
//   forks    workers that start other programs while the primary has not read what they have sent
//   threads  other threads have the package, too, and come and go

const { spawn } = require('node:child_process');
const { setImmediate } = require('node:timers/promises');
const { Worker } = require('node:worker_threads');
const cluster = require('rust-cluster');
const { has } = require('../../support/shared-memory');

const COUNT = Number(process.env.COUNT);
const { SERIALIZATION } = process.env;

/** Short, long, ASCII and not. */
const lengths = [10, 5000, 20_000, 100_000, 4096, 1024];
const textOf = number =>
  (number % 4 === 3 ? '\u20ac' : String.fromCharCode(97 + (number % 26))).repeat(
    lengths[number % lengths.length],
  );

/** What JSON cannot say takes another way than what it can. */
const messageOf = number => ({
  number,
  text: textOf(number),
  more: [textOf(number + 1)],
  ...(SERIALIZATION === 'advanced' && number % 5 === 0 && { map: new Map([[1, textOf(number + 2)]]) }),
});

function isWhole({ number, text, more, map }, expected) {
  const isMap = map === undefined || map.get(1) === textOf(number + 2);
  return number === expected && text === textOf(number) && more[0] === textOf(number + 1) && isMap;
}

function sendAll(target) {
  for (let number = 0; number < COUNT; number++) target.send(messageOf(number));
}

function receiveAll(target, who, then = () => {}) {
  let received = 0;
  target.on('message', message => {
    if (!isWhole(message, received)) console.log(`wrong: ${message.number} after ${received} messages`);
    if (++received < COUNT) return;
    console.log(`all for ${who}`);
    then();
  });
}

/** Two, and `then` once they have all that they need. */
function workers(then = () => {}) {
  const both = [cluster.fork(), cluster.fork()];
  let online = 0;
  cluster.on('online', () => {
    if (++online === 2) then(both);
  });
  return both;
}

/**
 * Two messages in two turns of the loop: of each turn the first message is written at once, and the first large one is not
 * searched for long strings. Then it dies. The second one's are more than a socket takes.
 */
async function sendAndDie(targets) {
  for (const target of targets) target.send({ text: textOf(2) });
  // The first one's may be in this turn, too.
  await setImmediate();
  await setImmediate();
  for (const target of targets) target.send({ text: textOf(3) });
  process.kill(process.pid, 'SIGKILL');
}

/** What came of the two. */
function noteBoth(target) {
  const found = [];
  target.on('message', ({ text }) => found.push(text));
  return () => (found[0] === textOf(2) && found[1] === textOf(3) ? 'both' : `${found.length}`);
}

const programs = {
  workers() {
    if (cluster.isWorker) {
      sendAll(process);
      process.exit();
    }
    cluster.setupPrimary({ serialization: SERIALIZATION });
    for (const worker of workers()) receiveAll(worker, `the primary from ${worker.id}`);
  },

  primary() {
    if (cluster.isWorker) return receiveAll(process, `worker ${cluster.worker.id}`);
    workers(both => {
      both[0].process.kill('SIGSTOP');
      for (const worker of both) sendAll(worker);
      console.log(`stopped ${both[0].process.pid}`);
    });
  },

  limit() {
    if (cluster.isWorker) return;
    cluster.setupPrimary({ maxQueuedBytes: 1_000_000 });
    const worker = cluster.fork();
    worker.on('online', () => {
      worker.process.kill('SIGSTOP');
      let sent = 0;
      worker.on('error', ({ code }) => console.log(`${code} after ${sent} messages`));
      for (; worker.isConnected() && sent < 10_000; sent++) worker.send({ text: 'x'.repeat(10_000) });
    });
  },

  turns() {
    const turns = 60;
    if (cluster.isWorker) {
      process.on('message', function next(message) {
        if (message === 'take') {
          process.off('message', next);
          receiveAll(process, `worker ${cluster.worker.id}`);
        } else if (message === 'send') {
          process.kill(process.ppid, 'SIGSTOP');
          sendAll(process);
          console.log(`sent by ${process.pid}`);
        } else {
          process.send(message);
        }
      });
      return;
    }
    let done = 0;
    const both = workers(() => {
      for (const worker of both) worker.send(messageOf(0));
    });
    process.on('SIGUSR2', () => both[1].send('send'));
    for (const worker of both) {
      worker.on('message', function next(message) {
        const number = message.number + 1;
        if (!isWhole(message, number - 1)) console.log(`wrong: ${message.number}`);
        if (number < turns) return worker.send(messageOf(number));
        worker.off('message', next);
        receiveAll(worker, `the primary from ${worker.id}`);
        if (++done < 2) return;
        both[0].send('take');
        both[0].process.kill('SIGSTOP');
        sendAll(both[0]);
        console.log(`stopped ${both[0].process.pid}`);
      });
    }
  },

  killed() {
    if (cluster.isWorker) return sendAndDie([process]);
    for (const worker of workers()) {
      const both = noteBoth(worker);
      worker.on('exit', () => console.log(`${both()} from ${worker.id}`));
    }
    setInterval(() => {}, 1000);
  },

  orphans() {
    if (cluster.isWorker) {
      const both = noteBoth(process);
      process.on('exit', () => console.log(`${both()} for ${cluster.worker.id}`));
    } else {
      workers(sendAndDie);
    }
  },

  leaves() {
    if (cluster.isWorker) {
      setInterval(() => {}, 1000);
      receiveAll(process, `worker ${cluster.worker.id}`, () => {
        sendAll(process);
        cluster.worker.disconnect();
      });
      return;
    }
    for (const worker of workers(both => both.forEach(sendAll))) {
      receiveAll(worker, `the primary from ${worker.id}`);
      worker.on('disconnect', () => console.log(`left by ${worker.process.pid}`));
    }
  },

  forks() {
    if (cluster.isWorker) {
      process.kill(process.ppid, 'SIGSTOP');
      sendAll(process);
      const ipc = { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] };
      const others = [
        spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] }),
        spawn(process.execPath, ['-e', 'process.on("message", () => {}); process.send(1);'], ipc),
      ];
      // It executes its program by then.
      others[1].on('message', () => {
        for (const { pid } of others) console.log(`${has(pid) ? 'shared' : 'nothing'} with ${pid}`);
        process.kill(process.ppid, 'SIGCONT');
      });
      return;
    }
    const worker = cluster.fork();
    receiveAll(worker, 'the primary');
  },

  threads() {
    const own = process.env.CLUSTER === 'node' ? 'cluster' : require.resolve('rust-cluster');
    const other = `require(${JSON.stringify(own)}); setInterval(() => {}, 10);`;
    const start = then => new Worker(other, { eval: true }).once('online', then);
    const thread = start(() => {
      thread.terminate().then(() => start(() => console.log('another thread')).unref());
      if (cluster.isWorker) sendAll(process);
      else for (const worker of both) sendAll(worker);
    });
    const both = cluster.isPrimary && workers();
    if (cluster.isWorker) receiveAll(process, `worker ${cluster.worker.id}`);
    else for (const worker of both) receiveAll(worker, `the primary from ${worker.id}`);
  },
};

programs[process.env.WHO]();
