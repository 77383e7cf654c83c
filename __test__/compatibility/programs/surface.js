'use strict';

const EventEmitter = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { Worker: Thread } = require('node:worker_threads');
const { cases, say, after } = require('../../support/cases');

/** Every member with its type: own ones, and the prototypes'. */
function members(object) {
  const found = {};
  for (let at = object; at && at !== EventEmitter.prototype && at !== Object.prototype; ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const { enumerable, value, get } = Object.getOwnPropertyDescriptor(at, name);
      const length = typeof value === 'function' ? `(${value.length})` : '';
      found[name] ??= `${get ? 'accessor' : typeof value}${length}${enumerable ? '' : ' hidden'}`;
    }
    at = Object.getPrototypeOf(at);
  }
  return found;
}

cases({
  primary: {
    primary(cluster) {
      say('members', members(cluster));
      say('keys', Object.keys(cluster));
      say('lengths', [cluster.fork.length, cluster.setupPrimary.length, cluster.disconnect.length]);
      say('alias', cluster.setupMaster === cluster.setupPrimary);
      say('is', [cluster.isPrimary, cluster.isMaster, cluster.isWorker]);
      say('policies', [cluster.SCHED_NONE, cluster.SCHED_RR, cluster.schedulingPolicy]);
      say('settings', cluster.settings);
      say('workers', cluster.workers);
      say('emitter', [cluster instanceof EventEmitter, Object.hasOwn(cluster, '_events')]);
      say('emitter fields', [cluster._eventsCount > 0, cluster._maxListeners, cluster.domain]);
      say('worker', typeof cluster.worker);
      const called = cluster.Worker({ id: 7 });
      say('Worker', [
        called instanceof cluster.Worker,
        called instanceof EventEmitter,
        Object.getPrototypeOf(cluster.Worker.prototype) === EventEmitter.prototype,
        called.id,
        called.state,
        called.process,
        called.exitedAfterDisconnect,
      ]);
      say('Worker without options', [new cluster.Worker().id, new cluster.Worker(null).state]);
      // biome-ignore lint/style/useNodejsImportProtocol: both names.
      say('same', [require('cluster') === cluster, require('node:cluster') === cluster]);
    },
  },

  worker: {
    primary(cluster) {
      cluster.fork();
    },
    worker(cluster) {
      say('members', members(cluster));
      say('keys', Object.keys(cluster));
      say('is', [cluster.isPrimary, cluster.isMaster, cluster.isWorker]);
      say('Worker', cluster.worker instanceof cluster.Worker);
      say('worker', [cluster.worker.id, cluster.worker.process === process, cluster.worker.state]);
      say('members of worker', members(cluster.worker));
      say('connected', [cluster.worker.isConnected(), cluster.worker.isDead()]);
      say('exitedAfterDisconnect', cluster.worker.exitedAfterDisconnect);
      say('emitter', cluster instanceof EventEmitter);
      // biome-ignore lint/style/useNodejsImportProtocol: both names.
      say('same', [require('cluster') === cluster, require('node:cluster') === cluster]);
      cluster.worker.disconnect();
    },
  },

  'worker object': {
    primary(cluster) {
      const worker = cluster.fork();
      say('members', members(worker));
      say('state', worker.state);
      say('exitedAfterDisconnect', worker.exitedAfterDisconnect);
      say('id', [worker.id, Object.keys(cluster.workers), cluster.workers[1] === worker]);
      say('process', [
        worker.process instanceof require('node:child_process').ChildProcess,
        typeof worker.process.pid,
      ]);
      const { destroy } = worker;
      worker.destroy = (...args) => args;
      worker.kill('SIGWINCH');
      say('kill calls destroy', worker.destroy('SIGWINCH'));
      worker.destroy = destroy;
      worker.on('online', () => {
        say('state', worker.state);
        say('connected', [worker.isConnected(), worker.isDead()]);
      });
      worker.on('listening', () => {
        say('state', worker.state);
        say('disconnect returns', worker.disconnect() === worker);
        say('exitedAfterDisconnect', worker.exitedAfterDisconnect);
      });
      worker.on('disconnect', () => {
        say('state', worker.state);
        say('connected', [worker.isConnected(), worker.isDead()]);
      });
      worker.on('exit', () => {
        say('state', worker.state);
        say('connected', [worker.isConnected(), worker.isDead()]);
      });
    },
    worker() {
      net.createServer().listen(0);
    },
  },

  'state in the worker': {
    primary(cluster) {
      cluster.fork();
    },
    worker(cluster) {
      const { worker } = cluster;
      say('state', worker.state);
      const server = net.createServer().listen(0);
      // The cluster's own listener is the first.
      server.on('listening', () => {
        say('state', worker.state);
        say('disconnect returns', worker.disconnect() === worker);
        say('state', worker.state);
        say('exitedAfterDisconnect', worker.exitedAfterDisconnect);
      });
      worker.on('disconnect', () => say('state', worker.state));
    },
  },

  'destroy in the worker': {
    primary(cluster) {
      cluster.fork().on('exit', function (...end) {
        say('end', end);
        say('exitedAfterDisconnect', this.exitedAfterDisconnect);
      });
    },
    worker(cluster) {
      const { worker } = cluster;
      say('destroy returns', worker.destroy());
      say('state', worker.state);
      worker.kill();
      worker.on('disconnect', () => say('disconnected'));
      process.on('exit', code => say('code', code));
    },
  },

  'kill with a signal': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('online', () => say('kill returns', worker.kill('SIGINT')));
      worker.on('exit', (...end) => say('end', end));
    },
    worker() {},
  },

  'send in all forms': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('message', (message, handle) => {
        say('received', [message, handle?.constructor.name ?? 'none']);
        handle?.close();
        if (message === 5) worker.disconnect();
      });
      worker.on('online', () => {
        const server = net.createServer().listen(0, () => {
          const sent = number => error => {
            say(`sent ${number}`, error);
            if (number === 5) server.close();
          };
          say('returns', [
            worker.send(1),
            worker.send(2, sent(2)),
            worker.send(3, server),
            worker.send(4, server, {}),
            worker.send(5, server, {}, sent(5)),
          ]);
        });
      });
    },
    worker(cluster) {
      const { worker } = cluster;
      worker.on('message', (message, handle) => {
        worker.send(message, handle, () => handle?.close());
      });
    },
  },

  'order of events': {
    primary(cluster) {
      cluster.on('setup', settings => say('cluster', ['setup', settings === cluster.settings]));
      const named = name =>
        cluster.on(name, (worker, ...details) => say('cluster', [name, worker.id, ...details]));
      for (const name of ['fork', 'online', 'listening', 'disconnect', 'exit']) named(name);
      cluster.on('message', (worker, message, handle) =>
        say('cluster', ['message', worker.id, message, `${handle}`]),
      );
      const worker = cluster.fork();
      say('cluster', ['forked']);
      for (const name of ['fork', 'setup', 'online', 'message', 'listening', 'disconnect', 'exit'])
        worker.on(name, (...details) =>
          say('worker', [name, ...details.map(detail => detail ?? `${detail}`)]),
        );
      worker.on('listening', () => worker.send('go'));
    },
    worker() {
      process.on('message', () => process.exit(3));
      process.send('hello', () => {
        net.createServer().listen(0, function () {
          say('port', this.address().port);
        });
      });
    },
  },

  'error event': {
    primary(cluster) {
      const worker = cluster.fork();
      cluster.on('error', () => say('cluster', 'error'));
      worker.on('error', error => say('error', error.code));
      worker.on('disconnect', () => {
        say('send returns', worker.send('too late'));
        worker.send('too late', error => say('callback', error.code));
      });
    },
    worker(cluster) {
      cluster.worker.disconnect();
    },
  },

  'listening payloads': {
    primary(cluster) {
      const worker = cluster.fork();
      const done = after(Number(process.env.COUNT), () => worker.disconnect());
      worker.on('listening', (...all) => {
        say('listening', all);
        done();
      });
      worker.on('message', ({ name, address }) => say(name, address));
    },
    worker() {
      const sayAddress = name =>
        function () {
          process.send({ name, address: this.address() });
        };
      const dgram = require('node:dgram');
      const steps = {
        any: next => net.createServer().listen(0, next),
        localhost: next => net.createServer().listen(0, 'localhost', next),
        'IPv6 loopback': next => net.createServer().listen(0, '::1', next),
        unix: next => net.createServer().listen(process.env.SOCKET, next),
        udp4: next => dgram.createSocket('udp4').bind(0, next),
        'udp4 address': next => dgram.createSocket('udp4').bind(0, '127.0.0.1', next),
        udp6: next => dgram.createSocket('udp6').bind(0, '::1', next),
      };
      const names = process.env.STEPS.split(',');
      const step = () => {
        const name = names.shift();
        if (!name) return;
        steps[name](function () {
          sayAddress(name).call(this);
          step();
        });
      };
      step();
    },
  },

  'setup on the next tick': {
    primary(cluster) {
      const seen = [];
      cluster.on('setup', settings => seen.push(settings.exec));
      process.nextTick(() => say('before any setup', seen.length));
      const before = cluster.settings;
      say('returns', cluster.setupPrimary({ exec: 'a.js' }));
      const first = cluster.settings;
      cluster.setupPrimary({ args: ['b'] });
      const second = cluster.settings;
      say('at once', seen.length);
      say('new objects', [before !== first, first !== second, Object.keys(before).length]);
      say('cumulative', [second.exec, second.args]);
      say('unchanged', first.args);
      process.nextTick(() => say('next tick', seen));
    },
  },

  'default settings': {
    primary(cluster) {
      cluster.setupPrimary();
      say('settings', cluster.settings);
      say('expected', {
        args: process.argv.slice(2),
        exec: process.argv[1],
        execArgv: process.execArgv,
        silent: false,
      });
    },
  },

  '--prof': {
    primary(cluster) {
      const execArgv = ['--prof'];
      cluster.setupPrimary({ execArgv });
      say('added', cluster.settings.execArgv);
      say('the array of the user', execArgv);
      cluster.setupPrimary({ execArgv: ['--prof', '--logfile=mine.log'] });
      say('kept', cluster.settings.execArgv);
    },
  },

  'settings reach the worker': {
    primary(cluster) {
      cluster.setupPrimary({
        exec: path.join(__dirname, 'settings-worker.js'),
        args: ['--one', 'two words', ''],
        execArgv: ['--no-deprecation', '--stack-trace-limit=7'],
        cwd: path.join(__dirname, '..'),
        serialization: 'advanced',
        windowsHide: true,
      });
      const worker = cluster.fork({ COLOUR: 'green', NUMBER: 5, NOTHING: undefined });
      worker.on('message', message => {
        for (const [name, value] of message) say(name, value);
        worker.disconnect();
      });
      say('spawnargs', worker.process.spawnargs.slice(1));
      say('spawnfile', worker.process.spawnfile === process.execPath);
    },
  },

  silent: {
    primary(cluster) {
      cluster.setupPrimary({ silent: true });
      const worker = cluster.fork();
      const { stdin, stdout, stderr, stdio } = worker.process;
      say('streams', [
        stdio.map(stream => stream?.constructor.name ?? `${stream}`),
        stdio[0] === stdin,
        stdio[1] === stdout,
        stdio[2] === stderr,
      ]);
      const text = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr']) {
        worker.process[name].setEncoding('utf8').on('data', data => {
          text[name] += data;
        });
      }
      stdin.end('to the worker');
      worker.process.on('close', () => say('text', text));
    },
    worker(cluster) {
      let input = '';
      process.stdin.setEncoding('utf8').on('data', data => {
        input += data;
      });
      process.stdin.on('end', () => {
        process.stdout.write(`out: ${input}`);
        process.stderr.write('err');
        cluster.worker.disconnect();
      });
    },
  },

  'not silent': {
    primary(cluster) {
      const worker = cluster.fork();
      const { stdin, stdout, stderr, stdio } = worker.process;
      say('streams', [stdin, stdout, stderr, stdio]);
    },
    worker(cluster) {
      cluster.worker.disconnect();
    },
  },

  'stdio overrides silent': {
    primary(cluster) {
      cluster.setupPrimary({ silent: false, stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'ipc', 'pipe'] });
      const worker = cluster.fork();
      const { stdio } = worker.process;
      say(
        'streams',
        stdio.map(stream => stream?.constructor.name ?? `${stream}`),
      );
      let text = '';
      stdio[5].setEncoding('utf8').on('data', data => {
        text += data;
      });
      stdio[3].end('three');
      worker.process.on('close', () => say('text', text));
    },
    worker(cluster) {
      const input = new net.Socket({ fd: 3 });
      const output = new net.Socket({ fd: 5 });
      input.setEncoding('utf8').on('data', data => output.end(`five got ${data}`));
      output.on('close', () => cluster.worker.disconnect());
    },
  },

  'stdio without ipc': {
    primary(cluster) {
      cluster.setupPrimary({ stdio: ['ignore', 'inherit', 'inherit'] });
      try {
        cluster.fork();
      } catch ({ name, code }) {
        say('error', [name, code]);
      }
      cluster.setupPrimary({ stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      const worker = cluster.fork();
      say('id', worker.id);
    },
    worker(cluster) {
      cluster.worker.disconnect();
    },
  },

  'uid and gid': {
    primary(cluster) {
      cluster.setupPrimary({ uid: 65534, gid: 65533, cwd: '/' });
      cluster.fork();
    },
    worker(cluster) {
      say('ids', [process.getuid(), process.geteuid(), process.getgid(), process.getegid()]);
      cluster.worker.disconnect();
    },
  },

  'inspect ports': {
    primary(cluster) {
      const fork = settings => {
        cluster.setupPrimary({ inspectPort: undefined, ...settings });
        const worker = cluster.fork();
        worker.on('message', port => {
          say(`worker ${worker.id}`, port);
          worker.disconnect();
        });
      };
      fork();
      fork();
      fork({ inspectPort: 20000 });
      fork({ inspectPort: () => 20001 });
      for (const [inspectPort, shown] of [
        [null, 'null'],
        [-1, '-1'],
        [65536, '65536'],
        ['a', 'a'],
        ['', 'nothing'],
        [() => 1.5, '1.5'],
        [true, 'true'],
      ]) {
        cluster.setupPrimary({ inspectPort });
        try {
          cluster.fork();
          say(`refused ${shown}`, 'no');
        } catch (error) {
          say(`refused ${shown}`, [error.name, error.code]);
        }
      }
      fork();
    },
    worker() {
      process.send([process.debugPort, process.execArgv.filter(arg => arg.startsWith('--inspect'))]);
    },
  },

  'ids are never reused': {
    primary(cluster) {
      const { workers } = cluster;
      const first = cluster.fork();
      first.on('exit', () => {
        say('ids', Object.keys(cluster.workers));
        const second = cluster.fork();
        say('ids', Object.keys(cluster.workers));
        second.on('exit', () => {
          say('ids', Object.keys(cluster.workers));
          say('same object', cluster.workers === workers);
        });
      });
    },
    worker(cluster) {
      say('id in the worker', cluster.worker.id);
      process.exit();
    },
  },

  policy: {
    primary(cluster) {
      say('policy', cluster.schedulingPolicy);
      if (process.env.SET) cluster.schedulingPolicy = Number(process.env.SET);
      cluster.setupPrimary();
      say('writable', Object.getOwnPropertyDescriptor(cluster, 'schedulingPolicy').writable);
      // Too late to count.
      if (process.env.SET_LATE) cluster.schedulingPolicy = Number(process.env.SET_LATE);
      cluster.fork();
    },
    worker(cluster) {
      const server = net.createServer().listen(0, () => {
        // Only a shared handle has a descriptor.
        say('shared', server._handle.fd !== undefined);
        cluster.worker.disconnect();
      });
    },
  },

  'bad policy': {
    primary(cluster) {
      cluster.schedulingPolicy = 3;
      try {
        cluster.fork();
      } catch (error) {
        say('error', [error.name, error.code, error.message.split('\n')[0]]);
      }
    },
  },

  'disconnect without workers': {
    primary(cluster) {
      say('returns', [cluster.disconnect(), cluster.disconnect('no function')]);
      let tick = 0;
      cluster.disconnect((...args) => {
        say('called', [tick, args.length]);
      });
      tick = 1;
    },
  },

  'NODE_DEBUG=cluster': {
    primary(cluster) {
      const worker = cluster.fork();
      say('pids', [process.pid, worker.process.pid]);
      worker.on('online', () => worker.disconnect());
    },
    worker() {},
  },

  'a whole life': {
    primary(cluster) {
      const worker = cluster.fork();
      worker.on('listening', ({ port }) => {
        say('life', [process.pid, worker.process.pid, port]);
        worker.disconnect();
      });
    },
    worker() {
      require('node:net').createServer().listen(0, '127.0.0.1');
    },
  },

  suicide: {
    primary(cluster) {
      const worker = cluster.fork();
      say('suicide', worker.suicide);
      worker.on('online', () => {
        worker.disconnect();
        say('suicide', worker.suicide);
      });
    },
    worker() {},
  },

  grandchild: {
    primary(cluster) {
      cluster.fork();
    },
    worker(cluster) {
      const { fork, spawn } = require('node:child_process');
      // A worker that was forked by a worker, by hand, is none.
      const child = fork(path.join(__dirname, 'grandchild.js'));
      child.on('message', message => say('fork', message));
      child.on('exit', () => {
        const file = path.join(__dirname, 'grandchild.js');
        const other = spawn(process.execPath, [file], { stdio: ['ignore', 'inherit', 'inherit'] });
        other.on('exit', () => cluster.worker.disconnect());
      });
    },
  },

  environment: {
    primary(cluster) {
      const worker = cluster.fork({ ADDED: 'yes' });
      say('primary', Object.keys(process.env).sort());
      worker.on('exit', () => say('primary after', Object.keys(process.env).sort()));
    },
    worker(cluster) {
      say('worker', Object.keys(process.env).sort());
      say('execArgv', process.execArgv);
      say('argv', process.argv.slice(1));
      cluster.worker.disconnect();
    },
  },

  preloads: {
    primary(cluster) {
      const files = [
        path.join(__dirname, 'preloaded.js'),
        path.join(__dirname, '..', '..', '..', 'register.js'),
      ];
      const all = files.map(file => `--require ${JSON.stringify(file)}`).join(' ');
      const NODE_OPTIONS = `${process.env.NODE_OPTIONS} ${all}`;
      cluster.fork({ NODE_OPTIONS, EXPECTED: NODE_OPTIONS });
    },
    worker(cluster) {
      const traces = () => [process.execArgv, process.env.NODE_OPTIONS === process.env.EXPECTED];
      say('preloaded', globalThis.preloaded);
      say('worker', traces());
      const thread = new Thread(`require('node:worker_threads').parentPort.postMessage((${traces})())`, {
        eval: true,
      });
      thread.on('message', seen => say('thread', seen));
      thread.on('exit', () => cluster.worker.disconnect());
    },
  },
});
