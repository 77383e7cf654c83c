'use strict';

// What processes say to each other over the bus. No case sleeps: each waits for what another process has done.

const { createSecretKey } = require('node:crypto');
const diagnostics = require('node:diagnostics_channel');
const { once } = require('node:events');
const { setImmediate: turn } = require('node:timers/promises');
const { inspect, isDeepStrictEqual } = require('node:util');
const { BroadcastChannel, leader, locks, store } = require('rust-cluster/bus');
const { cases, say } = require('../../support/cases');

/** Waits until all of `count` processes have come to the place of this name. */
async function meet(name, count) {
  const channel = new BroadcastChannel(`meet ${name}`);
  const all = new Promise(resolve => {
    channel.onmessage = () => resolve();
  });
  await channel.ready();
  const { value } = await store.increment(`meet ${name}`);
  if (value === count) channel.postMessage(undefined);
  else await all;
  // What was posted is on its way before the process may end.
  await channel.ready();
  channel.close();
}

/** So many messages of a channel, as [data, from]. */
function collect(channel, count) {
  return new Promise(resolve => {
    const all = [];
    channel.onmessage = ({ data, from }) => {
      all.push([data, from]);
      if (all.length === count) resolve(all);
    };
  });
}

const fork = (cluster, count) => Array.from({ length: count }, () => cluster.fork());
const ended = worker => once(worker, 'exit');
const failure = ({ name, code, message }) => [name, code ?? '', message.split('\n')[0]];

/** What has to be escaped in JSON, what is no Unicode, and what is long. */
const ODD_NAMES = ['', '"', '\\', '","x",', '\u0000\n', '\ud800', '€', '\u2028', '[', 'x'.repeat(1024)];

/** Of some of these JSON makes an equal copy, of others it does not. */
function trickyValues() {
  const shared = { a: 1 };
  const cycle = { name: 'cycle' };
  cycle.self = cycle;
  const holes = [1, undefined, 3];
  delete holes[1];
  const hidden = [1, undefined];
  delete hidden[1];
  hidden.x = 2;
  const deep = Array.from({ length: 200 }).reduce(inner => [inner], 'deep');
  return [
    ...[undefined, null, true, 0, -0, NaN, Infinity, -Infinity, 5e-324, 1e21, 2 ** 53 + 2, 7n],
    ...[
      '',
      'text',
      '"\\\u0000\n\u007f',
      '€',
      '\ud83d\ude00',
      '\ud800',
      'a\udc00b',
      '\u2028\u2029',
      'x'.repeat(20_000),
    ],
    ...[
      [],
      {},
      [[]],
      [{}],
      [undefined],
      [null],
      holes,
      hidden,
      new Array(3),
      [1, -0],
      Object.assign([1], { x: 1 }),
    ],
    ...[
      { a: undefined },
      { a: -0 },
      { 2: 'b', 1: 'a', c: 3 },
      JSON.parse('{"__proto__":{"a":1}}'),
      { '': 1 },
    ],
    ...[{ '\ud800': '\udc00' }, { '"': "'" }, Object.create(null, { a: { value: 1, enumerable: true } })],
    ...[{ one: shared, other: shared }, [shared, shared], cycle, deep, { [Symbol('x')]: 1, b: 2 }],
    ...[
      new Date(5),
      new Map([[{}, 1]]),
      new Set([1]),
      /x/giu,
      new Error('no'),
      Object(1),
      Object('s'),
      Object(false),
    ],
    ...[new Uint8Array([1, 2]), new ArrayBuffer(3), new Float32Array([NaN, -0])],
    ...[
      Array.from({ length: 100 }, (_, i) => i),
      Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i])),
    ],
    new (class {
      own = 1;
    })(),
    { constructor: 1, toString: 2, hasOwnProperty: 3, length: 4 },
    { nested: { array: [1, { x: 'y' }], empty: {} } },
  ];
}

/** More than the hub keeps for a process that does not read; and how much of it is on its way at once. */
const FLOOD = 4000;
const BATCH = 100;

const slotOf = cluster => cluster.worker.slot;

cases({
  broadcast: {
    async primary(cluster) {
      const channel = new BroadcastChannel('news');
      const heard = collect(channel, 6);
      await channel.ready();
      const workers = fork(cluster, 2);
      await meet('listening', 3);
      const all = await heard;
      for (const slot of [0, 1])
        say(
          `primary heard of ${slot}`,
          all.filter(([, from]) => from === slot).map(([data]) => data),
        );
      channel.postMessage('bye');
      await Promise.all(workers.map(ended));
      channel.close();
    },
    async worker(cluster) {
      const slot = slotOf(cluster);
      const channel = new BroadcastChannel('news');
      const second = new BroadcastChannel('news');
      const other = new BroadcastChannel('weather');
      other.onmessage = () => say('wrong channel', slot);
      // The other worker's three, the primary's one.
      const heard = collect(channel, 4);
      // And this worker's own three, of the other channel.
      const secondHeard = collect(second, 7);
      await meet('listening', 3);
      for (let i = 0; i < 3; i++) channel.postMessage(`${slot}.${i}`);
      const all = await heard;
      say(
        `${slot} heard`,
        all.filter(([, from]) => from !== 'primary'),
      );
      say(
        `${slot} heard of the primary`,
        all.filter(([, from]) => from === 'primary'),
      );
      say(
        `${slot}, second`,
        (await secondHeard).filter(([, from]) => from === slot),
      );
      cluster.worker.disconnect();
    },
  },

  'kinds of values': {
    async primary(cluster) {
      const channel = new BroadcastChannel('values');
      const heard = collect(channel, 1);
      channel.onmessageerror = ({ data, from }) => say('cannot be read', [data instanceof Error, from]);
      await channel.ready();
      const worker = cluster.fork();
      const [[value]] = await heard;
      say('value', [
        value.map instanceof Map && [...value.map],
        value.date instanceof Date && value.date.getTime(),
        value.error instanceof RangeError && value.error.message,
        value.bytes instanceof Uint8Array && [...value.bytes],
        Buffer.isBuffer(value.buffer) && `${value.buffer}`,
        value.floats instanceof Float64Array && [...value.floats],
        `${value.big}`,
        value.self === value,
        'undefined' in value && value.undefined === undefined,
      ]);
      // Nobody else has a part in the memory of what came.
      say('own memory', value.bytes.buffer.byteLength < 4096);
      await ended(worker);
      channel.close();
    },
    async worker(cluster) {
      const value = {
        map: new Map([[1, 'x']]),
        date: new Date(5),
        error: new RangeError('far'),
        bytes: new Uint8Array([1, 2]),
        buffer: Buffer.from('b'),
        floats: new Float64Array([0.5]),
        big: 2n ** 70n,
        undefined: undefined,
      };
      value.self = value;
      const channel = new BroadcastChannel('values');
      const theirs = (function () {
        // biome-ignore lint/complexity/noArguments: they look like any object else
        return arguments;
      })(1);
      const detached = new Uint8Array(4);
      structuredClone(detached.buffer, { transfer: [detached.buffer] });
      const ofNode = [
        new SharedArrayBuffer(4),
        new MessageChannel().port1,
        createSecretKey(Buffer.from('k')),
      ];
      for (const bad of [() => {}, { deep: Symbol('x') }, new WeakMap(), theirs, { detached }, ...ofNode]) {
        try {
          channel.postMessage(bad);
        } catch (error) {
          say('cannot be cloned', [error instanceof DOMException, error.name]);
        }
      }
      // The shortest module of WebAssembly. Its code stays in its process.
      const module = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
      channel.postMessage({ module });
      await store.set('module', module);
      say('cannot be kept', await store.get('module').catch(error => error instanceof Error));
      channel.postMessage(value);
      await channel.ready();
      cluster.worker.disconnect();
    },
  },

  'exact copies': {
    async primary(cluster) {
      const channel = new BroadcastChannel('exact');
      const second = new BroadcastChannel('exact');
      const values = trickyValues();
      const heard = [collect(channel, values.length), collect(second, values.length)];
      await channel.ready();
      const worker = cluster.fork();
      for (const all of await Promise.all(heard))
        for (const [index, [data]] of all.entries()) {
          const expected = structuredClone(values[index]);
          if (!isDeepStrictEqual(data, expected)) say('differs', inspect([data, expected]));
        }
      for (const value of values) {
        const [expected, answer] = [structuredClone(value), await channel.request(value)];
        if (!isDeepStrictEqual(answer, expected)) say('is answered otherwise', inspect([answer, expected]));
      }
      say('compared', values.length > 40);
      worker.disconnect();
      await ended(worker);
      channel.close();
      second.close();
    },
    async worker() {
      const channel = new BroadcastChannel('exact');
      channel.answer(value => value);
      for (const value of trickyValues()) channel.postMessage(value);
      await channel.ready();
    },
  },

  'odd names': {
    async primary(cluster) {
      const channels = ODD_NAMES.map(name => new BroadcastChannel(name));
      const heard = channels.map(channel => collect(channel, 1));
      await channels[0].ready();
      const worker = cluster.fork();
      say(
        'heard',
        (await Promise.all(heard)).map(([[data]]) => data),
      );
      say(
        'names',
        channels.every(({ name }, index) => name === ODD_NAMES[index]),
      );
      say('answers', await Promise.all(channels.map((channel, index) => channel.request(index))));
      worker.disconnect();
      await ended(worker);
      for (const channel of channels) channel.close();
    },
    async worker() {
      const channels = ODD_NAMES.map(name => new BroadcastChannel(name));
      for (const [index, channel] of channels.entries()) {
        channel.answer(data => data === index && index);
        channel.postMessage(index);
      }
      await channels[0].ready();
    },
  },

  'as the web has it': {
    async primary() {
      const attempt = (name, act) => {
        try {
          act();
          say(name, 'nothing');
        } catch (error) {
          say(name, failure(error));
        }
      };
      attempt('no name', () => new BroadcastChannel());
      attempt('a symbol', () => new BroadcastChannel(Symbol('x')));
      attempt('a long name', () => new BroadcastChannel('x'.repeat(1025)));
      attempt('a long name of few letters', () => new BroadcastChannel('€'.repeat(342)));
      const channel = new BroadcastChannel(5);
      say('name', channel.name);
      say('shown', `${channel}`);
      say('is one', channel instanceof EventTarget);
      attempt('no message', () => channel.postMessage());
      attempt('no function', () => channel.answer('x'));
      say('no handler', channel.onmessage);
      const order = [];
      channel.onmessage = () => order.push('first');
      channel.addEventListener('message', () => order.push('second'));
      const { onmessage } = channel;
      channel.onmessage = () => order.push('instead of the first');
      say('handler', typeof onmessage);
      const other = new BroadcastChannel('5');
      other.postMessage(1);
      await once(channel, 'message');
      say('order', order);
      say('large', await channel.request(1, { to: -1 }).catch(failure));
      say('too large', await channel.request('x'.repeat(16 * 1024 * 1024)).catch(failure));
      channel.close();
      channel.close();
      attempt('closed', () => channel.postMessage(1));
      say('closed, a request', await channel.request(1).catch(failure));
      other.onmessage = () => say('after close', true);
      other.close();
      // Nothing is open: the process ends.
    },
  },

  requests: {
    async primary(cluster) {
      const channel = new BroadcastChannel('work');
      channel.answer(data => ['primary', data]);
      await channel.ready();
      const workers = fork(cluster, 2);
      await Promise.all(workers.map(ended));
      channel.close();
    },
    async worker(cluster) {
      const slot = slotOf(cluster);
      const channel = new BroadcastChannel('work');
      const waiting = [];
      channel.answer((data, { from, signal }) => {
        if (data === 'throw') throw Object.assign(new TypeError('no'), { code: 'E_NO' });
        if (data === 'odd') return () => {};
        if (data === 'wait')
          return new Promise(() => {
            waiting.push(new Promise(resolve => signal.addEventListener('abort', resolve)));
            new BroadcastChannel('asked').unref().postMessage(slot);
          });
        return [slot, data, from];
      });
      await meet('answering', 2);
      if (slot === 1) {
        await meet('asked', 2);
        // Whoever asked has given up.
        await waiting[0];
        say('signal', 'aborted');
        await meet('done', 2);
        return cluster.worker.disconnect();
      }
      say('any', (await Promise.all([1, 2].map(n => channel.request(n)))).map(([who]) => `${who}`).sort());
      say(
        'all',
        (await channel.request('q', { to: 'all' }))
          .map(result => ({ ...result, from: `${result.from}` }))
          .sort((one, other) => (one.from < other.from ? -1 : 1)),
      );
      say('slot', await channel.request('q', { to: 1 }));
      say('primary', await channel.request('q', { to: 'primary' }));
      say('itself', await channel.request('q', { to: 0 }).catch(failure));
      say('thrown', await channel.request('throw', { to: 1 }).catch(failure));
      say('odd', await channel.request('odd', { to: 1 }).catch(failure));
      const empty = new BroadcastChannel('empty');
      say('nobody', await empty.request('q').catch(failure));
      say('all of nobody', await empty.request('q', { to: 'all' }));
      empty.close();
      const asked = new BroadcastChannel('asked');
      const isAsked = collect(asked, 1);
      await asked.ready();
      const abort = new AbortController();
      const request = channel.request('wait', { to: 1, signal: abort.signal }).catch(failure);
      await isAsked;
      abort.abort(new Error('enough'));
      say('aborted', await request);
      say('aborted before', await channel.request('q', { signal: abort.signal }).catch(failure));
      asked.close();
      await meet('asked', 2);
      await meet('done', 2);
      cluster.worker.disconnect();
    },
  },

  'one that was asked is killed': {
    async primary(cluster) {
      const channel = new BroadcastChannel('work');
      const asked = collect(new BroadcastChannel('asked').unref(), 2);
      const workers = fork(cluster, 2);
      await meet('answering', 3);
      const all = channel.request('q', { to: 'all' });
      await asked;
      for (const worker of workers) worker.process.kill('SIGKILL');
      say(
        'all',
        (await all).map(({ from, status, reason: { code } }) => [from, status, code]),
      );
      await Promise.all(workers.map(worker => worker.isDead() || ended(worker)));
      say('nobody is left', await channel.request('q').catch(failure));
      channel.close();
    },
    async worker() {
      const channel = new BroadcastChannel('work');
      channel.answer(() => {
        new BroadcastChannel('asked').postMessage('');
        return new Promise(() => {});
      });
      await meet('answering', 3);
    },
  },

  'a slow reader': {
    async primary(cluster) {
      const channel = new BroadcastChannel('flood');
      const workers = fork(cluster, 2);
      await meet('listening', 3);
      const [slow, quick] = workers;
      slow.send('stop');
      await once(slow, 'message');
      // Stopped, it reads nothing.
      slow.process.kill('SIGSTOP');
      const data = 'x'.repeat(10_000);
      for (let i = 1; i <= FLOOD; i++) {
        channel.postMessage([i, data]);
        if (i % BATCH === 0) await once(quick, 'message');
      }
      const gap = collect(new BroadcastChannel('gap').unref(), 1);
      slow.process.kill('SIGCONT');
      const [[missed]] = await gap;
      channel.postMessage(['last', '']);
      const [[ofQuick], [ofSlow]] = await Promise.all([once(quick, 'message'), once(slow, 'message')]);
      say('the quick one', ofQuick);
      say('the slow one', [
        ofSlow.heard + ofSlow.missed,
        ofSlow.missed === missed,
        ofSlow.published === missed,
        missed > 0,
        ofSlow.inOrder,
      ]);
      for (const worker of workers) worker.disconnect();
      await Promise.all(workers.map(ended));
      channel.close();
    },
    async worker(cluster) {
      const channel = new BroadcastChannel('flood');
      const gap = new BroadcastChannel('gap');
      let [heard, missed, published, inOrder] = [0, 0, 0, true];
      diagnostics.subscribe('rust-cluster:bus:gap', ({ name, missed: count }) => {
        if (name === 'flood') published += count;
      });
      channel.onmessage = ({ data: [number] }) => {
        if (number === 'last') return process.send({ heard, missed, published, inOrder });
        heard++;
        inOrder &&= number === heard;
        if (slotOf(cluster) === 1 && heard % BATCH === 0) process.send(heard);
      };
      channel.ongap = event => {
        missed += event.missed;
        gap.postMessage(missed);
      };
      process.on('message', () => process.send('stops'));
      await meet('listening', 3);
    },
  },

  observed: {
    async primary(cluster) {
      const told = [];
      for (const kind of ['publish', 'deliver'])
        diagnostics.subscribe(`rust-cluster:bus:${kind}`, message => {
          if (message.name === 'news') told.push([kind, message]);
        });
      // What is thrown is the subscriber's affair.
      diagnostics.subscribe('rust-cluster:bus:deliver', ({ data }) => {
        if (data === 'last') throw new Error('thrown by a subscriber');
      });
      process.on('uncaughtException', ({ message }) => say('uncaught', message));
      const [channel, second, closed] = Array.from({ length: 3 }, () => new BroadcastChannel('news'));
      const heard = [collect(channel, 2), collect(second, 3)];
      channel.postMessage(new Map([[1, 2]]));
      closed.close();
      await channel.ready();
      const worker = cluster.fork();
      await Promise.all(heard);
      say('told', told);
      worker.disconnect();
      await ended(worker);
      for (const one of [channel, second]) one.close();
    },
    async worker() {
      const told = [];
      diagnostics.subscribe('rust-cluster:bus:publish', message => told.push(message));
      const channel = new BroadcastChannel('news');
      for (const data of [{ a: 1 }, 'last']) channel.postMessage(data);
      say('told in a worker', told);
      await channel.ready();
    },
  },

  'the primary computes': {
    async primary(cluster) {
      const shared = new Int32Array(new SharedArrayBuffer(4));
      const done = require('node:path').join(process.env.FOLDER, 'done');
      const workers = fork(cluster, 2);
      await meet('ready', 3);
      for (const worker of workers) worker.send('go');
      // Its loop does not turn until both have talked to each other.
      while (!require('node:fs').existsSync(done)) Atomics.wait(shared, 0, 0, 5);
      await Promise.all(workers.map(ended));
    },
    async worker(cluster) {
      const slot = slotOf(cluster);
      const channel = new BroadcastChannel('talk');
      channel.answer(data => data + 1);
      const go = once(process, 'message');
      await meet('ready', 3);
      await go;
      const answers = [];
      for (let i = 0; i < 100; i++) answers.push(await channel.request(i, { to: 1 - slot }));
      const { value } = await store.increment('done');
      say(
        `${slot} is answered`,
        answers.every((answer, i) => answer === i + 1),
      );
      if (value === 2)
        require('node:fs').writeFileSync(require('node:path').join(process.env.FOLDER, 'done'), '');
      else while ((await store.get('done')) < 2) await turn();
      cluster.worker.disconnect();
    },
  },

  locks: {
    async primary(cluster) {
      const workers = fork(cluster, 2);
      await Promise.all(workers.map(ended));
    },
    async worker(cluster) {
      const slot = slotOf(cluster);
      await meet('there', 2);
      // Nobody is in between.
      await Promise.all(
        Array.from({ length: 20 }, () =>
          locks.request('alone', async ({ name, mode }) => {
            const before = (await store.get('inside')) ?? 0;
            if (before !== 0 || name !== 'alone' || mode !== 'exclusive') say('not alone', before);
            await store.increment('inside');
            await turn();
            await store.increment('inside', { by: -1 });
          }),
        ),
      );
      await meet('alone', 2);
      // Both share it.
      await locks.request('both', { mode: 'shared' }, () => meet('shared', 2));
      if (slot === 1) {
        await meet('held', 2);
        say('available', await locks.request('held', { ifAvailable: true }, lock => lock === null));
        const abort = new AbortController();
        const pending = locks.request('held', { signal: abort.signal }, () => 'mine');
        const { held, pending: waiting } = await locks.query();
        say('query', [held, waiting]);
        abort.abort();
        say('aborted', await pending.catch(({ name }) => name));
        say('stolen', await locks.request('held', { steal: true }, ({ name }) => name));
        await meet('stolen', 2);
        return cluster.worker.disconnect();
      }
      const told = locks.request('held', async (_lock, lost) => {
        await meet('held', 2);
        await new Promise(resolve => lost.addEventListener('abort', resolve));
        say('lost', lost.reason.name);
      });
      say('the holder', await told.catch(({ name }) => name));
      say('thrown', await locks.request('x', () => Promise.reject(new Error('mine'))).catch(failure));
      say('value', await locks.request('x', () => 7));
      for (const [name, ...args] of [
        ['mode', 'x', { mode: 'other' }, () => {}],
        ['hyphen', '-x', () => {}],
        ['both', 'x', { steal: true, ifAvailable: true }, () => {}],
        ['no callback', 'x', {}],
      ])
        say(name, await locks.request(...args).catch(failure));
      await meet('stolen', 2);
      cluster.worker.disconnect();
    },
  },

  'a holder is killed': {
    async primary(cluster) {
      const [holder] = fork(cluster, 1);
      await once(holder, 'message');
      const next = locks.request('the lock', () => 'it is mine');
      const leads = leader('cron', signal => !signal.aborted && 'leads');
      holder.process.kill('SIGKILL');
      say('next', [await next, await leads]);
      if (!holder.isDead()) await ended(holder);
    },
    async worker() {
      const forEver = new Promise(() => {});
      await new Promise(resolve => {
        const lead = () => {
          resolve();
          return forEver;
        };
        locks.request('the lock', () => leader('cron', lead));
      });
      process.send('holds both');
      await forEver;
    },
  },

  'leadership moves': {
    async primary(cluster) {
      const workers = fork(cluster, 2);
      const leading = () =>
        new Promise(resolve => {
          for (const worker of workers)
            worker.on('message', message => message === 'leads' && resolve(worker));
        });
      const first = await leading();
      const next = leading();
      first.disconnect();
      await ended(first);
      const second = await next;
      say('another', second !== first);
      second.disconnect();
      await ended(second);
      say('nobody', (await locks.query()).held);
    },
    async worker() {
      const value = await leader('cron', async signal => {
        const { value } = await store.increment('leaders');
        process.send('leads');
        await new Promise(resolve => signal.addEventListener('abort', resolve));
        say('told', [value, signal.reason.name]);
        // It lets go in its own time.
        for (let i = 0; i < 10; i++) await turn();
        await store.increment('leaders', { by: -1 });
        return 'led';
      });
      say('value', value);
    },
  },

  store: {
    async primary() {
      say('nothing', await store.get('k'));
      await store.set('k', { a: [1] });
      say('value', await store.get('k'));
      say('no counter', await store.increment('k').catch(failure));
      say('deleted', [await store.delete('k'), await store.delete('k'), await store.get('k')]);
      say('counted', [
        await store.increment('n'),
        await store.increment('n', { by: -3 }),
        await store.get('n'),
      ]);
      await store.set('set', 5);
      const set = await store.increment('set', { by: -7 });
      await store.set('set', -0);
      say('set', [
        set.value,
        Object.is(await store.get('set'), -0),
        await store.increment('set').catch(failure),
      ]);
      await store.set('set', 2 ** 53 - 1, { ttl: 3_600_000 });
      const last = await store.increment('set', { by: -1 });
      say('set anew', [last.value === 2 ** 53 - 2, last.ttl > 0]);
      const { ttl } = await store.increment('later', { ttl: 3_600_000 });
      const second = await store.increment('later', { ttl: 7_200_000 });
      say('lives', [ttl, second.value, second.ttl <= ttl]);
      await store.increment('soon', { ttl: 20 });
      while ((await store.get('soon')) !== undefined) await turn();
      say('gone', (await store.increment('soon', { ttl: 60_000 })).value);
      await store.set('brief', 1, { ttl: 1 });
      while ((await store.get('brief')) !== undefined) await turn();
      say('brief', 'is gone');
      await store.set('kept', 1, { ttl: 1 });
      await store.set('kept', 2);
      say('kept', await store.get('kept'));
      for (const [name, act] of Object.entries({
        key: () => store.get(5),
        'long key': () => store.get('x'.repeat(1025)),
        ttl: () => store.set('k', 1, { ttl: -1 }),
        by: () => store.increment('k', { by: 0.5 }),
        'no clone': () => store.set('k', () => {}),
      }))
        say(name, await act().catch(failure));
      // The oldest make room: 64 MiB are kept.
      const megabyte = 'x'.repeat(1024 * 1024);
      for (let i = 0; i < 70; i++) await store.set(`large ${i}`, megabyte);
      say('old', [await store.get('kept'), await store.get('large 0'), (await store.get('large 69')).length]);
    },
  },

  'who is no member': {
    async primary() {
      const { Worker } = require('node:worker_threads');
      const code = `const { BroadcastChannel } = require(${JSON.stringify(require.resolve('rust-cluster/bus'))});
        try { new BroadcastChannel('x') } catch ({ code }) { require('worker_threads').parentPort.postMessage(code) }`;
      const [answer] = await once(new Worker(code, { eval: true }), 'message');
      say('a thread', answer);
    },
  },

  'the primary is killed': {
    async primary(cluster) {
      const [worker] = fork(cluster, 1);
      await once(worker, 'message');
      process.kill(process.pid, 'SIGKILL');
    },
    async worker() {
      const channel = new BroadcastChannel('x');
      const asked = channel.request('q', { to: 'primary' }).catch(failure);
      say('before', await asked);
      // The worker goes on without its primary.
      process.removeAllListeners('disconnect');
      const lost = locks.request('x', async (_lock, lost) => {
        process.send('holds');
        await new Promise(resolve => lost.addEventListener('abort', resolve));
      });
      say('the lock', await lost.catch(failure));
      try {
        channel.postMessage(1);
      } catch (error) {
        say('after', failure(error));
      }
      say('a request', await channel.request(1).catch(failure));
    },
  },
});
