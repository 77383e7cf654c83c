'use strict';

// A worker listens on addresses of every form, one after the other. What is said of each: what the server got, be it
// an address or an error, and what the primary was told.

const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { cases, say } = require('../../support/cases');

const { FOLDER, USER } = process.env;
const TAKEN = Number(process.env.TAKEN);
const within = name => path.join(FOLDER, name);

/** An address that is valid on one link only, where this machine has one. */
const [link] = Object.entries(os.networkInterfaces()).flatMap(([zone, addresses]) =>
  addresses
    .filter(({ address }) => address.startsWith('fe80:'))
    .map(({ address, scopeid }) => ({ zone, address, scopeid })),
);

const hosts = {
  empty: '',
  'IPv4, all': '0.0.0.0',
  'IPv6, all': '::',
  IPv4: '127.0.0.1',
  IPv6: '::1',
  'IPv6, in full': '0:0:0:0:0:0:0:1',
  'a name': 'localhost',
  'IPv4 within IPv6': '::ffff:127.0.0.1',
  'IPv4 within IPv6, in hexadecimal': '::FFFF:7f00:1',
  'IPv4, in short': '127.1',
  'in brackets': '[::1]',
  'IPv4 of nobody': '192.0.2.1',
  'IPv6 of nobody': '2001:db8::1',
  'too large': '256.256.256.256',
  'a zone': '::1%lo',
  'a zone that is not there': '::1%nowhere',
  'IPv4 with a zone': '127.0.0.1%lo',
  'of many': '224.0.0.1',
  'IPv6 of many, no zone': 'ff02::1',
  ...(link && {
    'link-local': `${link.address}%${link.zone}`,
    'link-local, no zone': link.address,
    'link-local, the number of a zone': `${link.address}%${link.scopeid}`,
    'link-local, another zone': `${link.address}%lo`,
    'link-local, a zone that is not there': `${link.address}%nowhere`,
    'link-local of nobody': `fe80::dead%${link.zone}`,
  }),
};

const paths = {
  absolute: within('absolute'),
  relative: 'relative',
  'relative, with a dot': './dot',
  'relative, upwards': `../${path.basename(FOLDER)}/upwards`,
  'with two slashes': `${FOLDER}//slashes`,
  'with a slash at its end': within('end/'),
  'with a space and letters': within(' a\u00e9\u{1f600}'),
  'a folder': within('folder'),
  'a file': within('file'),
  'within a file': within('file/socket'),
  'within nothing': within('nothing/socket'),
  'a link': within('link'),
  'a link to nothing': within('dangling'),
  'in a loop': within('loop/socket'),
  'where one may not': within('closed/socket'),
  'a server': within('server'),
};

const places = {
  'no host': { port: 0 },
  'no host, IPv6 only': { port: 0, ipv6Only: true },
  ...Object.fromEntries(Object.entries(hosts).map(([name, host]) => [`host: ${name}`, { port: 0, host }])),
  'host: IPv6, all, and only': { port: 0, host: '::', ipv6Only: true },
  'host: IPv4, IPv6 only': { port: 0, host: '127.0.0.1', ipv6Only: true },
  'host: IPv4 within IPv6, IPv6 only': { port: 0, host: '::ffff:127.0.0.1', ipv6Only: true },
  'port: taken': { port: TAKEN },
  'port: taken, IPv4': { port: TAKEN, host: '127.0.0.1' },
  'port: taken, IPv6': { port: TAKEN, host: '::1' },
  'port: taken, exclusive': { port: TAKEN, exclusive: true },
  'port: privileged': { port: 83 },
  'port: privileged, IPv4': { port: 83, host: '127.0.0.1' },
  'port: text': { port: '0' },
  'port: -1': { port: -1 },
  'port: 65536': { port: 65536 },
  'backlog: 0': { port: 0, backlog: 0 },
  'backlog: -1': { port: 0, backlog: -1 },
  'backlog: too large': { port: 0, backlog: 2 ** 31 },
  'backlog: text': { port: 0, backlog: '7' },
  'backlog: a part': { port: 0, backlog: 1.5 },
  exclusive: { port: 0, exclusive: true },
  ...Object.fromEntries(Object.entries(paths).map(([name, path]) => [`path: ${name}`, { path }])),
  'path: exclusive': { path: within('exclusive'), exclusive: true },
  'path: readable by all': { path: within('readable'), readableAll: true },
  'path: for all': { path: within('all'), readableAll: true, writableAll: true },
  'path: text of a port': { path: '12345' },
  'path: and a port': { path: within('port'), port: 0 },
  'abstract: readable by all': { path: '\0all', readableAll: true },
  'descriptor: -1': { fd: -1, port: 0 },
};

/** Ours alone: Node's own primary ends, or the name depends on its folder. */
const own = {
  'path: the folder itself': { path: '.' },
  'abstract: a name': { path: '\0name' },
  'abstract: like a path': { path: '\0/a/../b' },
  'abstract: with NUL within': { path: '\0a\0b' },
  'abstract: taken': { path: '\0taken' },
};

/** Ports that the kernel has chosen differ. */
const portOf = port => (port === TAKEN ? 'taken' : port > 1023 ? 'any' : port);
const plain = text =>
  typeof text === 'string'
    ? text
        .replaceAll(FOLDER, 'FOLDER')
        .replaceAll(process.env.RUN, 'RUN')
        .replaceAll(`${TAKEN}`, 'TAKEN')
        .replaceAll('\0', '@')
    : text;

function shown(value) {
  if (typeof value !== 'object' || value === null) return plain(value);
  const { address, port, ...rest } = value;
  return { ...rest, address: plain(address), port: portOf(port) };
}

/** Abstract names belong to the whole machine, on which another test may run. */
const unique = ({ path: name, ...rest }) => ({
  ...rest,
  path: name?.replace(/^\0/, `\0${process.env.RUN}-`),
});

async function listen(options) {
  const server = net.createServer();
  const errorOf = ({ name, code, errno, syscall, address, port, message }) =>
    shown({ name, code, errno, syscall, address, port, message: plain(message) });
  try {
    server.listen(options);
    await once(server, 'listening');
  } catch (error) {
    return { error: errorOf(error) };
  }
  const outcome = {
    address: shown(server.address()),
    key: plain(server._connectionKey.replace(/:\d{4,}$/, '')),
  };
  if (options.readableAll && options.path) outcome.mode = fs.statSync(options.path).mode;
  // One that Node's net finds is heard.
  const socket = net.connect(
    options.path ? { path: options.path } : { port: server.address().port, host: server.address().address },
  );
  const heard = Promise.race([once(server, 'connection'), once(socket, 'error')]);
  outcome.found = (await heard)[0] instanceof Error ? (await heard)[0].code : true;
  socket.destroy();
  server.close();
  await once(server, 'close');
  return outcome;
}

cases({
  places: {
    primary(cluster) {
      process.chdir(FOLDER);
      if (USER) {
        process.setgroups([]);
        process.setgid(Number(USER));
        process.setuid(Number(USER));
      }
      let info;
      const worker = cluster.fork();
      worker.on('listening', address => {
        info = shown(address);
      });
      worker.on('message', ([name, outcome]) => {
        say(name, { ...outcome, info });
        info = undefined;
      });
    },
    async worker({ worker }) {
      const taken = net.createServer().listen({ path: `\0${process.env.RUN}-taken`, exclusive: true });
      await once(taken, 'listening');
      const all = process.env.OWN ? own : places;
      for (const [name, options] of Object.entries(all)) process.send([name, await listen(unique(options))]);
      taken.close();
      worker.disconnect();
    },
  },

  datagrams: {
    primary(cluster) {
      cluster.fork();
    },
    async worker({ worker }) {
      for (const [name, address] of Object.entries(hosts)) {
        for (const type of ['udp4', 'udp6']) {
          const socket = dgram.createSocket(type);
          try {
            socket.bind({ port: 0, address });
            await once(socket, 'listening');
            say(`${type}: ${name}`, shown(socket.address()));
            socket.close();
          } catch ({ code, syscall, address: of, message }) {
            say(`${type}: ${name}`, [code, syscall, of, plain(message)]);
          }
        }
      }
      worker.disconnect();
    },
  },
});
