'use strict';

// As many servers are on their way to a worker that is stopped as this user may have open. A healthy worker and the
// primary send each other messages meanwhile, some with a server, and nobody has an error or asks for a callback. Then
// the stopped one is killed.

const fs = require('node:fs');
const net = require('node:net');
const cluster = require('rust-cluster');

/** `ulimit -n`, which also bounds the descriptors of a user that are on their way. */
const LIMIT = Number(process.env.LIMIT);

/** What each of the two sends: [name, whether it comes with a server]. */
const MESSAGES = [['a'], ['b', true], ['c'], ['d', true], ['e']];

/** Limits do not hold root. The number is of nobody else: what others have on their way is not counted. */
function becomeOrdinary() {
  if (process.getuid() !== 0) return;
  process.setgid(65534);
  process.setuid(100_000 + process.pid);
}

function sendAll(target, server) {
  for (const [name, withServer] of MESSAGES) target.send(name, ...(withServer ? [server] : []));
}

/** Prints who got what, when it is all. */
function expectAll(target, who) {
  const got = [];
  target.on('message', (name, handle) => {
    handle?.close();
    if (got.push(handle ? `${name}+` : name) === MESSAGES.length) console.log(`${who} got ${got.join(' ')}`);
  });
}

process.on('warning', ({ code }) => console.log(`${cluster.isPrimary ? 'primary' : 'worker'}: ${code}`));
if (cluster.isPrimary) {
  becomeOrdinary();
  const [stopped, healthy] = [cluster.fork({ WHO: 'stopped' }), cluster.fork()];
  const server = net.createServer().listen(0, '127.0.0.1');
  expectAll(healthy, 'primary');
  server.on('listening', () => healthy.on('listening', () => stopAndFill(stopped, healthy, server)));
  process.on('SIGUSR2', () => stopped.process.kill('SIGKILL'));
} else if (process.env.WHO !== 'stopped') {
  const server = net.createServer().listen({ port: 0, host: '127.0.0.1', exclusive: true });
  process.once('message', () => {
    expectAll(process, 'worker');
    sendAll(process, server);
  });
  // What tells the primary that it is there.
  net.createServer().listen(0, '127.0.0.1');
}

function stopAndFill(stopped, healthy, server) {
  stopped.process.kill('SIGSTOP');
  const [, state] = fs.readFileSync(`/proc/${stopped.process.pid}/stat`, 'utf8').match(/\) (.)/);
  if (state === 'T') fill(stopped, healthy, server);
  else setImmediate(stopAndFill, stopped, healthy, server);
}

function fill(stopped, healthy, server) {
  for (let sent = 0; sent < LIMIT + 4; sent++) stopped.send(sent, server);
  // They are written when this turn of the loop ends, which is after its immediates.
  setImmediate(setImmediate, () => {
    healthy.send('begin');
    sendAll(healthy, server);
  });
}
