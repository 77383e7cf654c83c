'use strict';

// A worker asks to listen on a descriptor of the primary by its number: on one of each kind that a primary has.

const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const inspector = require('node:inspector');
const net = require('node:net');
const path = require('node:path');
const { Worker: Thread } = require('node:worker_threads');
const { cases, say } = require('../../support/cases');
const { descriptors } = require('../../support/descriptors');

const HOST = '127.0.0.1';

const name = fd => descriptors()[fd];
const find = pattern => Number(Object.keys(descriptors()).find(fd => pattern.test(name(fd))));

/** The descriptors of this process whose sockets a table of the kernel lists in such a line. */
function socketsIn(table, matches, place) {
  const lines = fs.readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n');
  const inodes = lines
    .map(line => line.trim().split(/\s+/))
    .filter(matches)
    .map(words => words[place]);
  return Object.entries(descriptors())
    .filter(([, is]) => inodes.some(inode => is === `socket:[${inode}]`))
    .map(([fd]) => Number(fd));
}

/** The descriptor of this process that listens on a TCP port. */
const listeningOn = port =>
  socketsIn(
    'tcp',
    ([, local, , state]) => state === '0A' && Number.parseInt(local.split(':')[1], 16) === port,
    9,
  )[0];

/** What a server answers at once, or an error. */
async function hear(place) {
  const socket = net.connect(place);
  const [data] = await once(socket, 'data');
  socket.destroy();
  return `${data}`;
}

async function pair() {
  const server = net.createServer(socket => socket.pipe(socket)).listen(0, HOST);
  await once(server, 'listening');
  const client = net.connect(server.address().port, HOST);
  await once(client, 'connect');
  const echoes = async () => {
    client.write('x');
    return `${await once(client, 'data')}` === 'x';
  };
  return { client, server, echoes };
}

async function bound(type) {
  const socket = dgram.createSocket(type).bind(0, HOST);
  await once(socket, 'listening');
  return socket;
}

const stateOf = socket => {
  const symbol = Object.getOwnPropertySymbols(socket).find(
    ({ description }) => description === 'state symbol',
  );
  return socket[symbol];
};

/**
 * For each kind: the number, and whether the descriptor is as it was and does what it is for, besides having the same
 * name.
 */
const kinds = {
  'a file': () => ({ fd: fs.openSync(__filename) }),
  'a device': () => ({ fd: fs.openSync('/dev/null') }),
  stdin: () => ({ fd: 0 }),
  stdout: () => ({ fd: 1 }),
  'a pipe': () => ({ fd: find(/^pipe:/) }),
  epoll: () => ({ fd: find(/eventpoll/) }),
  eventfd: () => ({ fd: find(/eventfd/) }),
  pidfd: () => ({ fd: find(/pidfd/) }),

  "another worker's channel": ({ victim }) => ({
    fd: victim.process.channel.fd ?? victim.process._channel.fd,
    async works() {
      victim.send('ping');
      return (await once(victim, 'message'))[0] === 'pong';
    },
  }),

  // Their types are SOCK_SEQPACKET.
  "another worker's queue": ({ port }) => ({
    fd: socketsIn('unix', words => words[4] === '0005', 6)[0],
    works: async () => (await hear({ port, host: HOST })) === 'the victim',
  }),

  "another worker's listener": ({ port }) => ({
    fd: listeningOn(port),
    works: async () => (await hear({ port, host: HOST })) === 'the victim',
  }),

  async 'a connection'() {
    const { client, echoes } = await pair();
    return { fd: client._handle.fd, works: echoes };
  },

  async 'a connection that is not read'() {
    const { client, echoes } = await pair();
    client._handle.readStop();
    return {
      fd: client._handle.fd,
      works() {
        client._handle.readStart();
        return echoes();
      },
    };
  },

  async 'a server'() {
    const server = net.createServer(socket => socket.end('mine')).listen(0, HOST);
    await once(server, 'listening');
    return { fd: server._handle.fd, works: async () => (await hear(server.address())) === 'mine' };
  },

  async 'a server on a path'() {
    const server = net
      .createServer(socket => socket.end('mine'))
      .listen(path.join(process.env.FOLDER, `${process.pid}`));
    await once(server, 'listening');
    return { fd: server._handle.fd, works: async () => (await hear({ path: server.address() })) === 'mine' };
  },

  'a server of this very turn'({ asking }) {
    const fd = fs.openSync('/dev/null');
    let server;
    asking.process.prependListener('internalMessage', function make(message) {
      if (message.act !== 'queryServer') return;
      asking.process.removeListener('internalMessage', make);
      // The server gets the lowest number that is free: those below are in use, then.
      const below = [];
      while ((below.at(-1) ?? 0) < fd) below.push(fs.openSync('/dev/null'));
      fs.closeSync(fd);
      server = net.createServer(socket => socket.end('mine')).listen(0);
      for (const other of below) fs.closeSync(other);
    });
    return {
      fd,
      sameName: true,
      works: async () => server._handle.fd === fd && (await hear({ port: server.address().port })) === 'mine',
    };
  },

  async "a thread's server"() {
    const code = `const server = require('net').createServer(socket => socket.end('mine')).listen(0, '${HOST}', () =>
      require('worker_threads').parentPort.postMessage([server._handle.fd, server.address().port]))`;
    const thread = new Thread(code, { eval: true });
    const [[fd, port]] = await once(thread, 'message');
    // Its loop watches the server from the end of a turn on: when it has answered, it does.
    await hear({ port, host: HOST });
    return { fd, works: async () => (await hear({ port, host: HOST })) === 'mine' };
  },

  async 'the inspector'() {
    inspector.open(0, HOST);
    const { host, port } = new URL(inspector.url());
    return {
      fd: listeningOn(Number(port)),
      works: async () => (await fetch(`http://${host}/json/version`)).ok,
    };
  },

  async 'a UDP socket'() {
    return receiving(await bound('udp4'));
  },

  async 'a UDP socket, for datagrams'() {
    return { ...(await receiving(await bound('udp4'))), udp: true };
  },

  'no descriptor': () => ({ fd: 9999 }),
  'the last number': () => ({ fd: 2 ** 31 - 1 }),
  'a number beyond': () => ({ fd: 2 ** 31 }),
  'a number far beyond': () => ({ fd: 2 ** 40 }),
  'a part of a number': () => ({ fd: 1.5 }),
};

function receiving(socket) {
  return {
    fd: stateOf(socket).handle.fd,
    async works() {
      dgram.createSocket('udp4').unref().send('x', socket.address().port, HOST);
      return `${(await once(socket, 'message'))[0]}` === 'x';
    },
  };
}

function listenOn({ fd, udp }) {
  const answer = what => process.send(what);
  if (udp) {
    const socket = dgram.createSocket('udp4');
    socket.on('error', ({ code }) => answer(code));
    socket.bind({ fd }, () => socket.close(() => answer('listening')));
    return;
  }
  const server = net.createServer(socket => socket.destroy());
  server.on('error', ({ code }) => answer(code));
  server.listen({ fd }, () => server.close(() => answer('listening')));
}

cases({
  'each kind': {
    async primary(cluster) {
      const victim = cluster.fork();
      const [port] = await once(victim, 'message');
      const asking = cluster.fork();
      await once(asking, 'online');
      for (const kind of JSON.parse(process.env.KINDS)) {
        const { fd, udp, sameName, works = () => true } = await kinds[kind]({ victim, port, asking });
        const before = name(fd);
        asking.send({ fd, udp });
        const [code] = await once(asking, 'message');
        say(kind, [code, (sameName || name(fd) === before) && (await works())]);
      }
      // The pidfds still tell of their ends.
      for (const worker of [asking, victim]) {
        worker.disconnect();
        await once(worker, 'exit');
      }
      process.exit();
    },
    worker({ worker }) {
      process.on('message', message => (message === 'ping' ? process.send('pong') : listenOn(message)));
      if (worker.id > 1) return;
      const server = net.createServer(socket => socket.end('the victim'));
      server.listen(0, HOST, () => process.send(server.address().port));
    },
  },

  'one after the other': {
    async primary(cluster) {
      const handle = net._createServerHandle(HOST, 0, 4);
      const address = {};
      handle.getsockname(address);
      const fork = async () => {
        const worker = cluster.fork({ FD: handle.fd });
        const [outcome] = await once(worker, 'message');
        return { worker, outcome };
      };
      const workers = [await fork(), await fork()];
      const answered = new Set();
      while (answered.size < workers.length) answered.add(await hear({ port: address.port, host: HOST }));
      say('together', [...workers.map(({ outcome }) => outcome), [...answered].sort()]);
      for (const { worker } of workers) {
        worker.disconnect();
        await once(worker, 'exit');
      }
      const { worker, outcome } = await fork();
      say('later', outcome === 'listening');
      if (outcome === 'listening') say('answer', await hear({ port: address.port, host: HOST }));
      worker.disconnect();
      await once(worker, 'exit');
      process.exit();
    },
    worker({ worker }) {
      const server = net.createServer(socket => socket.end(`worker ${worker.id}`));
      server.on('error', ({ code }) => process.send(code));
      server.listen({ fd: Number(process.env.FD) }, () => process.send('listening'));
    },
  },

  'a UDP socket that nobody reads': {
    async primary(cluster) {
      const { handle } = stateOf(dgram.createSocket('udp4'));
      const address = {};
      handle.bind(HOST, 0, 0);
      handle.getsockname(address);
      const worker = cluster.fork({ FD: handle.fd });
      await once(worker, 'listening');
      dgram.createSocket('udp4').unref().send('a datagram', address.port, HOST);
      say('received', (await once(worker, 'message'))[0]);
      worker.disconnect();
    },
    worker() {
      const socket = dgram.createSocket('udp4').bind({ fd: Number(process.env.FD) });
      socket.on('message', message => process.send(`${message}`));
    },
  },
});
