'use strict';

// Handles of every kind that go to the other process and prove there that they work. DIRECTION says which way.

const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { cases, say, after } = require('../../support/cases');
const { sockets } = require('../../support/descriptors');

const HOST = '127.0.0.1';
const toWorker = process.env.DIRECTION === 'to worker';

/** The handle beneath a dgram.Socket. */
function udpHandle(socket) {
  const symbol = Object.getOwnPropertySymbols(socket).find(
    ({ description }) => description === 'state symbol',
  );
  return socket[symbol].handle;
}

/** Collects text until the end. */
function textOf(stream, callback) {
  let text = '';
  stream.setEncoding('utf8').on('data', data => {
    text += data;
  });
  stream.on('close', () => callback(text));
}

/** Accepts one connection without reading from it; `place`: where to listen. */
function acceptOne(place, client, callback) {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, socket =>
    callback(socket, server),
  );
  server.listen(place, () => {
    const address = server.address();
    client(net.connect(address.port ?? address));
  });
}

// Not round robin: what a worker listens on there is no handle that could be sent.
const TCP = { port: 0, host: HOST, exclusive: true };
const UNIX = { path: `${process.env.SOCKET}`, exclusive: true };

/** For each kind, what the sender does: send(handle, options, sent), and report what the client has got. */
const kinds = {
  'net.Socket': (send, report) => acceptSocket(TCP, {}, send, report),
  'net.Socket, Unix': (send, report) => acceptSocket(UNIX, {}, send, report),
  'net.Socket, keepOpen': (send, report) => acceptSocket(TCP, { keepOpen: true }, send, report),

  'net.Socket, half-open'(send, report) {
    const client = socket => {
      textOf(socket, report);
      socket.end('question');
    };
    acceptOne(TCP, client, (socket, server) => {
      // What the client sent, its end too, waits in the kernel.
      server.close();
      send(socket);
    });
  },

  'net.Socket, with data in its buffer'(send, report) {
    let client;
    const early = socket => {
      client = socket;
      textOf(client, report);
      client.write('early ');
    };
    acceptOne(TCP, early, (socket, server) => {
      server.close();
      // What this process has read it keeps: a descriptor goes, not a stream.
      socket.once('readable', () => {
        say('in the buffer', socket.readableLength);
        send(socket, {}, undefined, () => client.write('question'));
      });
    });
  },

  'net.Native, a socket'(send, report) {
    acceptOne(TCP, asks(report), (socket, server) => {
      server.close();
      send(socket._handle, {}, () => socket.destroy());
    });
  },

  'net.Native, a Unix socket'(send, report) {
    acceptOne(UNIX, asks(report), (socket, server) => {
      server.close();
      send(socket._handle, {}, () => socket.destroy());
    });
  },

  'net.Server': (send, report) => listening(TCP, server => server, send, report),
  'net.Server, Unix': (send, report) => listening(UNIX, server => server, send, report),
  'net.Native, a server': (send, report) => listening(TCP, server => server._handle, send, report),
  'dgram.Socket': (send, report) => bound(socket => socket, send, report),
  'dgram.Native': (send, report) => bound(udpHandle, send, report),
};

const asks = report => socket => {
  textOf(socket, report);
  socket.write('question');
};

function acceptSocket(place, options, send, report) {
  // Of a socket that both have, the client hears the sender first.
  const asksLater = socket => {
    textOf(socket, report);
    socket.once('data', () => socket.write('question'));
  };
  acceptOne(place, options.keepOpen ? asksLater : asks(report), (socket, server) => {
    server.close();
    send(socket, options, () => {
      if (options.keepOpen) socket.write('sender and ', () => socket.destroy());
    });
    say('handle after send', socket._handle === null);
  });
}

function listening(place, handleOf, send, report) {
  const server = net.createServer().listen(place, () => {
    const address = server.address();
    // This process's own server takes no connection: whichever has it is closed when the other is ready.
    send(handleOf(server), {}, undefined, () => {
      let place = address.port;
      if (typeof address === 'string') {
        // Its close() removes the path.
        place = `${address}-moved`;
        fs.renameSync(address, place);
      }
      server.close(() => {
        asks(text => {
          fs.rmSync(`${place}`, { force: true });
          report(text);
        })(net.connect(place));
      });
    });
  });
  server.on('connection', socket => socket.end('sender'));
}

function bound(handleOf, send, report) {
  const socket = dgram.createSocket('udp4');
  socket.bind({ port: 0, address: HOST, exclusive: true }, () => {
    const { port } = socket.address();
    send(handleOf(socket), {}, undefined, () => {
      socket.close();
      const client = dgram.createSocket('udp4');
      client.on('message', message => {
        client.close();
        report(`${message}`);
      });
      client.send('question', port, HOST);
    });
  });
}

/** What the receiver does with each kind. `ready` is called when it can be used, `done` when it is closed. */
function use(handle, kind, ready, done) {
  const answer = socket => {
    socket.setEncoding('utf8').on('data', data => socket.end(`answer to ${data}`));
    socket.on('close', done);
    socket.resume();
  };
  const serve = server => {
    server.on('connection', answer).on('connection', () => server.close());
    ready();
  };
  if (kind === 'net.Native, a server') {
    const server = net.createServer();
    server.listen(handle, () => serve(server));
  } else if (kind.startsWith('net.Server')) {
    serve(handle);
  } else if (kind.startsWith('net.Socket')) {
    answer(handle);
    ready();
  } else if (kind.startsWith('net.Native')) {
    answer(new net.Socket({ handle, readable: true, writable: true }));
    ready();
  } else {
    let socket = handle;
    if (kind === 'dgram.Native') socket = dgram.createSocket('udp4').bind(handle);
    socket.on('message', (message, { port }) => {
      socket.send(`answer to ${message}`, port, HOST, () => socket.close(done));
    });
    ready();
  }
}

/** Sends each kind to `target` when the one before is done. */
function sendAll(target, names, finished) {
  const before = sockets();
  const next = () => {
    const kind = names.shift();
    if (!kind) {
      say('more sockets in the sender', sockets() - before);
      finished();
      return;
    }
    const whenReady = [];
    // Its client has its answer, and the other process has closed it.
    const both = after(2, () => setImmediate(next));
    const onmessage = ({ about, what }) => {
      if (about !== kind) return;
      if (what === 'ready') for (const callback of whenReady.splice(0)) callback();
      if (what === 'done') {
        target.removeListener('message', onmessage);
        both();
      }
    };
    target.on('message', onmessage);
    const send = (handle, options, sent, ready = () => {}) => {
      whenReady.push(ready);
      target.send({ kind }, handle, options, error => {
        if (error) say('error', [kind, error.code]);
        sent?.();
      });
    };
    kinds[kind](send, text => {
      say(kind, text);
      both();
    });
  };
  next();
}

function receiveAll(target, finished) {
  const before = sockets();
  const onmessage = ({ kind, end }, handle) => {
    if (end) {
      say('more sockets in the receiver', sockets() - before);
      target.removeListener('message', onmessage);
      finished();
    } else if (kind) {
      say('received', [kind, handle?.constructor.name]);
      const tell = what => () => target.send({ about: kind, what });
      use(handle, kind, tell('ready'), tell('done'));
    }
  };
  target.on('message', onmessage);
}

function send(target, finished) {
  sendAll(target, process.env.KINDS.split(';'), () => target.send({ end: true }, finished));
}

/** How many handles go at once, and how many times: no process has more than 1024 descriptors, both ways at once. */
const WAVE = 400;
const WAVES = 5;

/** Thousands of handles, each between two messages. */
function sendThousands(target, finished, from = 0) {
  if (from === WAVES * WAVE) {
    target.send({ end: true });
    finished();
    return;
  }
  const wave = [];
  const closed = after(WAVE, () => sendThousands(target, finished, from + WAVE));
  const made = after(WAVE, () => {
    for (const [place, { handle, port, close }] of wave.entries()) {
      const n = from + place;
      target.send({ n, port }, handle, () => close(closed));
      target.send({ n });
    }
  });
  for (let place = 0; place < WAVE; place++) {
    makers[place % makers.length]((handle, port, close = done => handle.close(done)) => {
      wave[place] = { handle, port, close };
      made();
    });
  }
}

/** Each makes a handle with a port to know it by. */
const makers = [
  made => {
    const handle = net._createServerHandle(HOST, 0, 4);
    const address = {};
    handle.getsockname(address);
    made(handle, address.port);
  },
  made => {
    const socket = dgram.createSocket('udp4');
    socket.bind({ port: 0, address: HOST, exclusive: true }, () => made(socket, socket.address().port));
  },
  made => {
    const server = net.createServer().listen(TCP, () => made(server, server.address().port));
  },
  made => {
    let gone;
    const client = socket => {
      gone = once(socket.resume(), 'close');
    };
    acceptOne(TCP, client, (socket, server) => {
      server.close();
      made(socket, socket.localPort, done => gone.then(done));
    });
  },
];

function receiveThousands(target, finished) {
  let expected = 0;
  let good = 0;
  let open = 0;
  let ended = false;
  const finish = () => {
    if (!ended || open > 0) return;
    say('received', [expected, good]);
    finished();
  };
  target.on('message', ({ n, port, end }, handle) => {
    if (end) {
      ended = true;
      finish();
    }
    if (ended || n === undefined) return;
    // Twice the same number: with a handle, then alone.
    const inOrder = n * 2 + (port === undefined ? 1 : 0) === expected++;
    if (!handle) {
      good += inOrder && port === undefined ? 1 : 0;
      return;
    }
    const address = {};
    if (handle.getsockname) handle.getsockname(address);
    else Object.assign(address, handle.address());
    good += inOrder && address.port === port ? 1 : 0;
    open++;
    const closed = () => {
      open--;
      finish();
    };
    if (handle instanceof net.Socket) handle.once('close', closed).destroy();
    else handle.close(closed);
  });
}

function bothThousands(target, finished) {
  const done = after(2, finished);
  receiveThousands(target, done);
  sendThousands(target, done);
}

/** Says how many sockets more than before are open when `act` has finished. */
const counted = (where, act) => (target, finished) => {
  const before = sockets();
  act(target, () => {
    setImmediate(() => {
      say(`more sockets in the ${where}`, sockets() - before);
      finished();
    });
  });
};

/** A case in which one process sends and the other receives. */
const between = (sender, receiver) => ({
  primary(cluster) {
    cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
    const worker = cluster.fork();
    const done = after(2, () => worker.disconnect());
    worker.on('message', message => message === 'finished' && done());
    if (toWorker) worker.on('online', () => sender(worker, done));
    else receiver(worker, done);
  },
  worker() {
    const finished = () => process.send('finished');
    if (toWorker) receiver(process, finished);
    else sender(process, finished);
  },
});

cases({
  'all kinds': between(send, receiveAll),
  thousands: between(counted('sender', sendThousands), counted('receiver', receiveThousands)),
  'thousands, both ways at once': between(
    counted('sender', bothThousands),
    counted('receiver', bothThousands),
  ),

  /** The primary looks at no handle. */
  'sockets that are reset': {
    primary(cluster) {
      const worker = cluster.fork();
      process.once('warning', () => worker.disconnect());
      process.on('warning', ({ code }) => say('warning', code));
      worker.on('message', () => worker.send('it has arrived'));
    },
    worker() {
      const clients = [];
      const reset = () => clients.pop().resetAndDestroy();
      const server = net.createServer(socket => {
        process.send('a socket', socket);
        if (process.env.WHEN === 'before') reset();
      });
      server.listen({ port: 0, host: HOST, exclusive: true }, () => {
        for (let n = 0; n < 2; n++) clients.push(net.connect(server.address().port, HOST));
      });
      let arrived = 0;
      process.on('message', () => {
        if (++arrived < 2) return;
        while (clients.length > 0) reset();
        server.close();
      });
    },
  },

  'connections of a server': {
    primary(cluster) {
      const worker = cluster.fork();
      const server = net.createServer().listen(0, HOST, () => {
        for (let n = 0; n < 2; n++) net.connect(server.address().port, HOST).resume();
      });
      const sent = after(2, () => {
        server.getConnections((error, count) => {
          say('connections', [error, count]);
          server.close(() => {
            say('closed', ended);
            worker.disconnect();
          });
          worker.send('end');
        });
      });
      let ended = 0;
      worker.on('message', message => {
        if (message === 'got') sent();
        if (message === 'ended') ended++;
      });
      server.on('connection', socket => worker.send('socket', socket));
    },
    worker() {
      const received = [];
      process.on('message', (message, socket) => {
        if (message === 'socket') {
          received.push(socket);
          process.send('got');
        } else {
          for (const one of received) {
            one.on('end', () => process.send('ended'));
            one.resume().end();
          }
        }
      });
    },
  },

  'a socket that was sent already': {
    primary(cluster) {
      const worker = cluster.fork();
      const server = net.createServer({ pauseOnConnect: true }, socket => {
        server.close();
        worker.send('first', socket);
        // It is gone: the text goes alone.
        worker.send('second', socket);
      });
      worker.on('online', () =>
        server.listen(0, HOST, () => net.connect(server.address().port, HOST).resume()),
      );
    },
    worker(cluster) {
      process.on('message', (message, socket) => {
        say(message, socket?.constructor.name ?? `${socket}`);
        socket?.destroy();
        if (message === 'second') cluster.worker.disconnect();
      });
    },
  },
});
