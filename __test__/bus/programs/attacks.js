'use strict';

// Members of the bus that say nonsense, or go at the wrong moment. No case sleeps: each waits for what another process has
// done.

const { AsyncLocalStorage } = require('node:async_hooks');
const diagnostics = require('node:diagnostics_channel');
const { getEventListeners, once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { BroadcastChannel, leader, locks, store } = require('rust-cluster/bus');
const { cases, say } = require('../../support/cases');
const { takeAll } = require('../../support/descriptors');

const PACKAGE = path.dirname(require.resolve('rust-cluster/bus'));
const part = file => require(path.join(PACKAGE, 'lib', file));

const failure = ({ name, code, message }) => [name, code ?? '', `${message}`.split('\n')[0]];
/** Whether an error is of what reads values, and none of the bus's. */
const ofNobodys = reason => reason instanceof Error && reason.code === undefined;
const ended = worker => worker.isDead() || once(worker, 'exit');
const channelOf = cluster => cluster[Symbol.for('rust-cluster.within')].channel;

/** A member that writes what it likes, and answers what it is asked with the bytes, or the JSON, of that number. */
function joinRaw(cluster, answers, heard = () => {}) {
  const { read, readJson, say: command, PROTOCOL } = part('bus/protocol');
  const native = part('native').load();
  return new Promise(resolve => {
    channelOf(cluster).ask({ act: 'joinBus', protocol: PROTOCOL }, (_message, fd) => {
      const tell = bytes => channel.sendAdvanced(bytes, -1);
      const hear = () => {
        for (;;) {
          const found = take(undefined);
          if (typeof found === 'number') return;
          if (found.lengths === undefined) {
            JSON.parse(found.json ?? `[${found}]`).forEach(told => void hearNotice(readJson(told)));
            continue;
          }
          let end = 0;
          for (const length of found.lengths) {
            hearNotice(read(found.scratch, end, end + length));
            end += length;
          }
        }
      };
      const hearNotice = notice => {
        const { is, id, token, value } = notice;
        heard(notice);
        if (is === 'synced' && id === 3) process.send('has said it');
        if (token === undefined) return;
        const [ok, answer] = answers[value];
        if (typeof answer === 'string') channel.sendJson(1, `[${token},${ok},${answer}]`, -1);
        else tell(command.answer(token, ok, answer));
      };
      const channel = new native.Channel(fd, hear, () => {});
      const take = channel.reader();
      resolve({ tell, command });
    });
  });
}

const json = value => Buffer.from(`\u0001${JSON.stringify(value)}`);

/** Bytes that no member of ours writes. */
const NONSENSE = [
  [true, Buffer.alloc(0)],
  [true, Buffer.from([9, 9, 9])],
  [true, Buffer.from([1, 0x7b])],
  [true, Buffer.from([2, 1])],
  [false, json(null)],
  [false, 'null'],
  [false, json({ error: { name: 'toString', message: { toString: 5 }, stack: 1, code: 3 } })],
];

/** How many channels a process may have open. */
const MOST_NAMES = 16_384;

/** More of each than a process may have; and what is flooded with, by the number of its ids in millions. */
const FLOOD = 20_000;
const FLOODS = [undefined, 'channels', 'answers', 'locks', 'requests', 'values'];

async function joinWhenTold(cluster, before = () => {}) {
  const go = once(process, 'message');
  process.send('there');
  await go;
  before();
  const [counted] = await Promise.all([store.increment('x'), store.set('y', 1)]);
  say('joined', [counted.value, await store.get('y')]);
  cluster.worker.disconnect();
}

cases({
  nonsense: {
    async primary(cluster) {
      const channel = new BroadcastChannel('work');
      const errors = [];
      const told = [];
      diagnostics.subscribe('rust-cluster:bus:deliver', ({ error, from }) => error && told.push(from));
      channel.onmessage = ({ data }) => say('heard', data);
      channel.onmessageerror = ({ data }) => errors.push(data instanceof Error);
      await channel.ready();
      const worker = cluster.fork();
      await once(worker, 'message');
      for (const number of NONSENSE.keys()) say('an answer', await channel.request(number).catch(ofNobodys));
      const [{ from, status, reason }] = await channel.request(0, { to: 'all' });
      say('of all', [from, status, ofNobodys(reason)]);
      const { name, message } = await channel.request(NONSENSE.length).catch(reason => reason);
      say('an odd name', [name, message]);
      say('a value', await store.get('bad').catch(ofNobodys));
      say('good', await store.get('good'));
      say('message errors', errors);
      say('told of them', told);
      worker.process.kill('SIGKILL');
      await ended(worker);
      channel.close();
    },
    async worker(cluster) {
      const { tell, command } = await joinRaw(cluster, [
        ...NONSENSE,
        [false, json({ error: { name: 'constructor', message: 'm', stack: '', code: '' } })],
      ]);
      tell(command.serve(9, 'work'));
      tell(command.publish('work', NONSENSE[1][1]));
      tell(command.publish('work', json('good')));
      tell(command.set(1, 0, 'bad', NONSENSE[1][1]));
      tell(command.set(2, 0, 'good', json('fine')));
      // Once the hub has heard all of it.
      tell(command.sync(3));
    },
  },

  'reasons that cannot be told': {
    async primary(cluster) {
      const channel = new BroadcastChannel('work');
      const worker = cluster.fork();
      await once(worker, 'message');
      for (const what of ['large', 'symbol', 'getter', 'all getters', 'large value', 'null'])
        say(what, await channel.request(what).catch(reason => reason && failure(reason).slice(0, 2)));
      worker.disconnect();
      await ended(worker);
      channel.close();
    },
    async worker() {
      const large = 'x'.repeat(17 * 1024 * 1024);
      const throwing = error => Object.defineProperty(new Error(), 'message', { get: error });
      const reasons = {
        large: () => new Error(large),
        symbol: () => Object.assign(new Error(), { message: Symbol('x') }),
        getter: () =>
          throwing(() => {
            throw new TypeError('of the getter');
          }),
        'all getters': () =>
          throwing(() => {
            throw reasons['all getters']();
          }),
        'large value': () => ({ large }),
        null: () => null,
      };
      const channel = new BroadcastChannel('work');
      channel.answer(what => {
        throw reasons[what]();
      });
      await channel.ready();
      process.send('answers');
    },
  },

  contexts: {
    async primary() {
      const context = new AsyncLocalStorage();
      const channel = new BroadcastChannel('x');
      await context.run('who joins', () => channel.ready());
      for (const name of ['one', 'two']) {
        const of = act => context.run(name, act);
        say('a lock', await of(() => locks.request('x', () => context.getStore())));
        say('a leader', await of(() => leader('x', () => context.getStore())));
      }
      channel.close();
    },
  },

  'signals are let go': {
    async primary() {
      const { signal } = new AbortController();
      for (let i = 0; i < 20; i++) {
        await locks.request('x', { signal }, () => {});
        await leader('x', { signal }, () => {});
        await store.get('x');
      }
      say('listeners', getEventListeners(signal, 'abort').length);
      process.on('warning', ({ name }) => say('warning', name));
      await Promise.all(Array.from({ length: 20 }, (_, i) => leader(`${i}`, () => store.get('x'))));
    },
  },

  'after the end of the channel': {
    async primary(cluster) {
      await ended(cluster.fork());
    },
    async worker(cluster) {
      cluster.worker.disconnect();
      await once(process, 'disconnect');
      const channel = new BroadcastChannel('x');
      say('a channel', await channel.ready().catch(failure));
      say('a lock', await locks.request('x', () => {}).catch(failure));
      // The channel is open, and the process ends.
    },
  },

  'the channel ends meanwhile': {
    async primary(cluster) {
      await ended(cluster.fork());
    },
    async worker() {
      // The worker goes on without its primary.
      process.removeAllListeners('disconnect');
      const lock = locks.request('x', () => {}).catch(failure);
      process.disconnect();
      say('a lock', await lock);
    },
  },

  'a leader that is late': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      worker.disconnect();
      await ended(worker);
    },
    async worker(cluster) {
      const holds = leader('one', signal => {
        process.send('leads');
        return once(signal, 'abort').then(() => leader('another', () => 'leads').catch(failure));
      });
      say('another', await holds);
      cluster.worker.disconnect();
    },
  },

  'joins without end': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      say('sockets', fs.readdirSync('/proc/self/fd').length < 100);
      worker.process.kill('SIGKILL');
      await ended(worker);
    },
    async worker(cluster) {
      const { PROTOCOL } = part('bus/protocol');
      for (let i = 0; i < 99; i++) channelOf(cluster).ask({ act: 'joinBus', protocol: PROTOCOL }, () => {});
      channelOf(cluster).ask({ act: 'joinBus', protocol: PROTOCOL }, ({ failed }, fd) => {
        say('the last', [failed, fd]);
        process.send('has asked');
      });
    },
  },

  'the primary has no descriptor left': {
    async primary(cluster) {
      const worker = cluster.fork();
      const loaded = once(worker, 'message');
      let asked = 0;
      let taken = [];
      worker.process.on('internalMessage', ({ act }) => {
        // It has been refused once.
        if (act === 'joinBus' && ++asked === 2) for (const fd of taken.splice(0)) fs.closeSync(fd);
      });
      await loaded;
      taken = takeAll();
      worker.send('go');
      await ended(worker);
      say('asked again', asked > 1);
    },
    worker: joinWhenTold,
  },

  'a worker has no descriptor left': {
    async primary(cluster) {
      const worker = cluster.fork();
      const loaded = once(worker, 'message');
      worker.process.on('internalMessage', ({ act }) => act === 'joinBus' && worker.process.kill('SIGUSR2'));
      await loaded;
      worker.send('go');
      await ended(worker);
    },
    async worker(cluster) {
      let taken = [];
      process.on('SIGUSR2', () => setImmediate(() => taken.splice(0).forEach(fd => void fs.closeSync(fd))));
      await joinWhenTold(cluster, () => {
        taken = takeAll();
      });
    },
  },

  'too many channels': {
    async primary() {
      const warned = once(process, 'warning');
      const channels = Array.from({ length: MOST_NAMES }, (_, number) => new BroadcastChannel(`${number}`));
      await channels.at(-1).ready();
      const another = new BroadcastChannel('another');
      say('another', await another.ready().catch(failure));
      say('a warning', failure((await warned)[0]));
      // Whoever is there is none the worse.
      say('the first', await channels[0].ready());
      another.close();
      channels.pop().close();
      const instead = new BroadcastChannel('another');
      say('instead', await instead.ready());
      for (const channel of [instead, ...channels]) channel.close();
    },
  },

  'names that are too long': {
    async primary() {
      const warned = once(process, 'warning');
      const name = number => `${number}`.padStart(1024, 'x');
      const channels = Array.from({ length: 1024 }, (_, number) => new BroadcastChannel(name(number)));
      await channels.at(-1).ready();
      const another = new BroadcastChannel('another');
      say('another', await another.ready().catch(failure));
      say('a warning', failure((await warned)[0]));
      another.close();
      channels.pop().close();
      const instead = new BroadcastChannel('another');
      say('instead', await instead.ready());
      for (const channel of [instead, ...channels]) channel.close();
      const held = Array.from({ length: 1024 }, (_, number) => locks.request(name(number), () => next));
      const next = locks.request('another', () => {}).catch(failure);
      say('a lock', await next);
      await Promise.all(held);
    },
  },

  'the hub cannot watch another': {
    async primary(cluster) {
      const { Hub } = part('native').load();
      const { join } = Hub.prototype;
      const errors = ['ENOSPC', 'ENOMEM', 'ENOBUFS'];
      Hub.prototype.join = function (place) {
        const code = errors.shift();
        if (code) throw Object.assign(new Error(`epoll_ctl ${code}`), { code });
        return join.call(this, place);
      };
      const worker = cluster.fork();
      const loaded = once(worker, 'message');
      await loaded;
      worker.send('go');
      await ended(worker);
      say('left', errors.length);
    },
    worker: joinWhenTold,
  },

  'ready before it has joined': {
    async primary(cluster) {
      const { Hub } = part('native').load();
      const { join } = Hub.prototype;
      let lets = false;
      Hub.prototype.join = function (place) {
        if (lets) return join.call(this, place);
        worker.send('refused');
        throw Object.assign(new Error('epoll_ctl ENOSPC'), { code: 'ENOSPC' });
      };
      const worker = cluster.fork();
      await once(worker, 'message');
      lets = true;
      await ended(worker);
    },
    async worker(cluster) {
      const refused = once(process, 'message');
      let ready = false;
      const channel = new BroadcastChannel('x');
      const isReady = channel.ready().then(() => {
        ready = true;
      });
      await refused;
      say('before', ready);
      process.send('has said it');
      await isReady;
      say('afterwards', ready);
      cluster.worker.disconnect();
    },
  },

  floods: {
    async primary(cluster) {
      const channel = new BroadcastChannel('silent');
      channel.answer(() => new Promise(() => {}));
      await channel.ready();
      const worker = cluster.fork();
      const [refused] = await once(worker, 'message');
      say('refused', refused);
      // Others are none the worse.
      const other = new BroadcastChannel('other');
      await other.ready();
      say('a counter', await store.increment('mine'));
      say('a lock', await locks.request('mine', () => 'held'));
      worker.process.kill('SIGKILL');
      await ended(worker);
      // All that it held is free.
      say('its locks', await locks.request('3000000', { ifAvailable: true }, lock => lock !== null));
      other.close();
      channel.close();
    },
    async worker(cluster) {
      const refused = {};
      const { tell, command } = await joinRaw(cluster, [], ({ is, id, why }) => {
        if (is === 'refused') {
          const kind = FLOODS[Math.floor(id / 1e6)];
          refused[kind] ??= {};
          refused[kind][why] = (refused[kind][why] ?? 0) + 1;
        }
        if (is === 'synced' && id === 1) process.send(refused);
      });
      for (let i = 0; i < FLOOD; i++) {
        tell(command.subscribe(1e6 + i, `${1e6 + i}`));
        tell(command.serve(2e6 + i, `${2e6 + i}`));
        tell(command.lock(3e6 + i, 0, `${3e6 + i}`));
        tell(command.ask(4e6 + i, 2, 0xffff_ffff, 'silent', json(i)));
        // These are kept, until what is newer needs their room.
        tell(command.set(5e6 + i, 0, `${5e6 + i}`, json('x'.repeat(4000))));
      }
      tell(command.sync(1));
    },
  },

  'the package is replaced': {
    async primary(cluster) {
      const worker = cluster.fork();
      await once(worker, 'message');
      // As if its file were gone.
      require('node:module')._resolveFilename = (
        name =>
        (request, ...rest) => {
          if (request === '../bus/hub') throw new Error('it is gone');
          return name(request, ...rest);
        }
      )(require('node:module')._resolveFilename);
      worker.send('go');
      await ended(worker);
    },
    async worker(cluster) {
      const go = once(process, 'message');
      process.send('there');
      await go;
      say('a value', await store.get('x').catch(failure));
      cluster.worker.disconnect();
    },
  },

  'two copies': {
    async primary(cluster) {
      const copy = path.join(process.env.FOLDER, 'copy');
      fs.mkdirSync(copy);
      for (const name of ['index.js', 'bus.js', 'package.json', 'lib', 'rust-cluster.node'])
        fs.cpSync(path.join(PACKAGE, name), path.join(copy, name), { recursive: true });
      const other = new (require(path.join(copy, 'bus')).BroadcastChannel)('x');
      const heard = once(other, 'message');
      await other.ready();
      const worker = cluster.fork();
      say('heard', (await heard)[0].data);
      other.close();
      await ended(worker);
    },
    async worker(cluster) {
      const channel = new BroadcastChannel('x');
      channel.postMessage('of the first copy');
      await channel.ready();
      cluster.worker.disconnect();
    },
  },
});
