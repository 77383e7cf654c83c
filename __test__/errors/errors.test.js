'use strict';

// docs/errors.md lists every error of our own, with its text, and the source has no others.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const way = require('../support/way');

const ROOT = path.join(__dirname, '..', '..');
const OWN = /ERR_RUST_CLUSTER_[A-Z_]+/g;

const read = (...parts) => fs.readFileSync(path.join(ROOT, ...parts), 'utf8');
const unique = values => [...new Set(values)].sort();

function sources(folder, extension) {
  return fs
    .readdirSync(path.join(ROOT, folder), { recursive: true })
    .filter(name => name.endsWith(extension))
    .map(name => path.join(folder, name));
}

const DOCUMENT = read('docs', 'errors.md');

/** The text of each error, as the document has it. */
const TEXTS = new Map(
  [...DOCUMENT.matchAll(/^### `(\w+)`\n\n```text\n(.*?)```/gms)].map(([, code, text]) => [code, text]),
);

/** Those that only who uses the command sees. */
const OF_COMMAND = DOCUMENT.match(/^## When `rust-cluster` runs\n(.*?)^## /ms)[1].match(OWN);

/** Those of the bus and its bridges, some of which its types name. */
const OF_BUS = DOCUMENT.match(
  /^## When processes talk to each other\n(.*?)^## When a worker is broken\n/ms,
)[1].match(OWN);

/** What all errors of a broken worker say, with REASON in the place of what each says. */
const [, FRAME] = DOCUMENT.match(/```text\n([^`]*REASON[^`]*)```/);

/** What a text of the document stands for. */
function pattern(text) {
  const escaped = text.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/\s+/g, '\\s+').replaceAll('…', '.+?')}$`, 's');
}

function node(args, { limit, ...options } = {}) {
  const line = `${limit ? `ulimit -n ${limit}; ` : ''}exec "$0" "$@"`;
  const all = { encoding: 'utf8', cwd: ROOT, timeout: 120_000, ...options };
  return spawnSync('sh', ['-c', line, process.execPath, ...args], all).stdout.trim();
}

const PROGRAMS = path.join(__dirname, 'programs');
const brokenWorker = how => node([path.join(PROGRAMS, 'broken-worker.js'), how]);
const overBus = what => node([path.join(PROGRAMS, 'bus.js'), what]);
const supervising = what => node([path.join(PROGRAMS, 'supervising.js'), what]);
const tell =
  '({ code, message }) => { console.log(code + String.fromCharCode(10) + message); process.exit() }';

/** Each error as it happens: its code, and its message from the second line on. */
const PROVOKE = {
  ERR_RUST_CLUSTER_NO_BINARY() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
    try {
      fs.cpSync(path.join(ROOT, 'lib'), path.join(folder, 'lib'), { recursive: true });
      fs.copyFileSync(path.join(ROOT, 'index.js'), path.join(folder, 'index.js'));
      return node(['-e', `process.once('uncaughtException', ${tell}); require(${JSON.stringify(folder)})`]);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  },
  ERR_RUST_CLUSTER_BAD_START: () =>
    node(['-e', `process.once('uncaughtException', ${tell}); require('./index.js')`], {
      env: { ...process.env, RUST_CLUSTER_WORKER: '1' },
    }),
  ERR_RUST_CLUSTER_TOO_LATE: () =>
    node([
      '-e',
      `const cluster = require('node:cluster');
      process.once('uncaughtException', ${tell});
      cluster.setupPrimary({ exec: 'biome.json', silent: true });
      cluster.fork();
      require('./index.js');`,
    ]),
  ERR_RUST_CLUSTER_UNSUPPORTED: () =>
    node([
      '-e',
      `Object.defineProperty(process, 'platform', { value: 'sunos' });
      process.on('warning', ${tell});
      require('./index.js');`,
    ]),
  ERR_RUST_CLUSTER_STARVED: () => node([path.join(PROGRAMS, 'starved.js')], { limit: 64 }),
  ERR_RUST_CLUSTER_UNSENT: () => node([path.join(PROGRAMS, 'unsent.js'), '96'], { limit: 96 }),
  ERR_RUST_CLUSTER_BROKEN_INTAKE: () => node([path.join(PROGRAMS, 'broken-intake.js')]),
  // Two processes have to meet between two system calls.
  ERR_RUST_CLUSTER_LOST_CONNECTION: () => node(['-e', `(${tell})(require('./lib/errors').lostConnection())`]),
  ERR_RUST_CLUSTER_NO_PAGE: () =>
    node([
      '-e',
      `process.on('warning', ${tell});
      const fs = require('node:fs');
      const { readFileSync } = fs;
      fs.readFileSync = (file, ...rest) => readFileSync(file.replace('style.css', 'nothing.css'), ...rest);
      const cluster = require('./index.js');
      cluster.setupPrimary({ exec: 'biome.json', silent: true, telemetry: { port: 0 } });
      cluster.fork();`,
    ]),
  ERR_RUST_CLUSTER_NO_METRICS: () => node([path.join(PROGRAMS, 'no-metrics.js')]),
  ERR_RUST_CLUSTER_METRICS_LEFT_OUT: () => node([path.join(PROGRAMS, 'metrics-left-out.js')]),
  ERR_RUST_CLUSTER_NO_TELEMETRY: () =>
    node([
      '-e',
      `process.on('warning', ${tell});
      const server = require('node:net').createServer().listen(0, '127.0.0.1', () => {
        const cluster = require('./index.js');
        cluster.setupPrimary({ exec: 'biome.json', silent: true, telemetry: { port: server.address().port } });
        cluster.fork();
      });`,
    ]),
  ERR_RUST_CLUSTER_NO_THREAD: () => node([path.join(PROGRAMS, 'no-thread.js')]),
  ERR_RUST_CLUSTER_QUEUE_FULL: () => node([path.join(PROGRAMS, 'full-queue.js')]),
  ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE: () => node([path.join(PROGRAMS, 'too-large.js')]),
  ERR_RUST_CLUSTER_UNHEARD: () => node([path.join(PROGRAMS, 'unheard.js')]),
  ERR_RUST_CLUSTER_UNKNOWN_OPTION: () => supervising('UNKNOWN_OPTION'),
  ERR_RUST_CLUSTER_BAD_OPTION: () => supervising('BAD_OPTION'),
  ERR_RUST_CLUSTER_BAD_CONFIGURATION: () => supervising('BAD_CONFIGURATION'),
  ERR_RUST_CLUSTER_BAD_PROGRAM: () => supervising('BAD_PROGRAM'),
  ERR_RUST_CLUSTER_RELOAD_FAILED: () => supervising('RELOAD_FAILED'),
  ERR_RUST_CLUSTER_SCALE_FAILED: () => supervising('SCALE_FAILED'),
  ERR_RUST_CLUSTER_NOT_SUPERVISING: () => supervising('NOT_SUPERVISING'),
  ERR_RUST_CLUSTER_NAME_TAKEN: () => supervising('NAME_TAKEN'),
  ERR_RUST_CLUSTER_UNDER_NPM: () => supervising('UNDER_NPM'),
  ERR_RUST_CLUSTER_NO_SUPERVISOR: () => supervising('NO_SUPERVISOR'),
  ERR_RUST_CLUSTER_NOT_RUNNING: () => supervising('NOT_RUNNING'),
  ERR_RUST_CLUSTER_NO_CONTROL: () => supervising('NO_CONTROL'),
  ERR_RUST_CLUSTER_BAD_REQUEST: () => supervising('BAD_REQUEST'),
  ERR_RUST_CLUSTER_OTHER_USER: () => supervising('OTHER_USER'),
  ERR_RUST_CLUSTER_CONTROL_LOST: () => supervising('CONTROL_LOST'),
  ERR_RUST_CLUSTER_NO_STATUS: () => supervising('NO_STATUS'),
  ERR_RUST_CLUSTER_BAD_FRAME: () => brokenWorker('unknownKind'),
  ERR_RUST_CLUSTER_FRAME_TOO_LARGE: () => brokenWorker('largeFrame'),
  ERR_RUST_CLUSTER_STRAY_DESCRIPTOR: () => brokenWorker('strayDescriptor'),
  ERR_RUST_CLUSTER_BAD_MESSAGE: () => brokenWorker('noJson'),
  ERR_RUST_CLUSTER_BAD_HANDOFF: () => brokenWorker('bareReturn'),
  ERR_RUST_CLUSTER_BAD_LISTEN_FDS: () =>
    node([
      '-e',
      `process.env.LISTEN_PID = process.pid;
      process.env.LISTEN_FDS = 'many';
      process.once('uncaughtException', ${tell});
      require('./lib/supervisor/systemd').inheritSockets();`,
    ]),
  ERR_RUST_CLUSTER_NO_BUS: () => overBus('NO_BUS'),
  ERR_RUST_CLUSTER_BUS_NOBODY: () => overBus('BUS_NOBODY'),
  ERR_RUST_CLUSTER_BUS_GONE: () => overBus('BUS_GONE'),
  ERR_RUST_CLUSTER_BUS_FULL: () => overBus('BUS_FULL'),
  ERR_RUST_CLUSTER_BUS_REFUSED: () => overBus('BUS_REFUSED'),
  ...Object.fromEntries(
    ['PRIMARY', 'BROKER', 'REFUSED', 'GARBAGE', 'VERSION', 'FULL'].map(what => [
      `ERR_RUST_CLUSTER_BRIDGE_${what}`,
      () => node([path.join(PROGRAMS, 'bridge.js'), what]),
    ]),
  ),
  ERR_RUST_CLUSTER_UNNOTIFIED: () =>
    node([
      '-e',
      `process.env.NOTIFY_SOCKET = '/nonexistent';
      process.on('warning', ${tell});
      const supervisor = new (require('node:events'))();
      supervisor.status = () => ({ workers: [], wanted: 0 });
      require('./lib/supervisor/systemd').notify(supervisor);
      supervisor.emit('report', { event: 'all-ready' });`,
    ]),
  ERR_RUST_CLUSTER_UNANNOUNCED: () => supervising('UNANNOUNCED'),
  ERR_RUST_CLUSTER_UNWATCHED: () =>
    node([
      '-e',
      `process.on('warning', ${tell});
      require('node:fs').watch = () => { throw Object.assign(new Error(), { code: 'ENOSPC' }) };
      const { watch } = require('./lib/supervisor/watch');
      watch(new (require('node:events'))(), { paths: ['lib'] });`,
    ]),
};

const OF_BROKEN_WORKERS = /BAD_FRAME|FRAME_TOO_LARGE|STRAY|BAD_MESSAGE|BAD_HANDOFF/;

test('the document, the source, the types and this test know the same codes', () => {
  const documented = unique(TEXTS.keys());
  const inSource = [...sources('lib', '.js'), ...sources('src', '.rs')].flatMap(
    file => read(file).match(OWN) ?? [],
  );
  assert.deepEqual(unique(inSource), documented);
  // Those of the command are no program's to catch.
  assert.deepEqual(unique([...read('index.d.ts').match(OWN), ...OF_BUS, ...OF_COMMAND]), documented);
  assert.deepEqual(unique(DOCUMENT.match(OWN)), documented);
  assert.deepEqual(unique(Object.keys(PROVOKE)), documented);
});

const skip = way === 'node' && "these errors are rust-cluster's";
for (const [code, provoke] of Object.entries(PROVOKE)) {
  test(`${code}: it says what the document says`, { skip }, () => {
    const [first, ...message] = provoke().split('\n');
    assert.equal(first, code);
    const text = TEXTS.get(code);
    assert.match(
      message.join('\n'),
      pattern(OF_BROKEN_WORKERS.test(code) ? FRAME.replace('REASON', () => text.trim()) : text),
    );
  });
}

/** The files that make their own errors, and why they may. */
const ALONE = {
  'lib/native.js': 'the install script of npm loads it, and nothing else',
  'lib/cluster/preload.js': 'a worker loads it, and nothing else, wherever it lies',
};

/** The lines outside of lib/errors.js that raise something of their own, and why they may. */
const EXCEPTIONS = {
  'throw error;': 'what was made in the core, in lib/channel/channel.js and lib/bus/member.js',
  'if (this.#ended) throw this.#ended;': 'what ended it, in the same file',
  "if (status === 'rejected') throw reason;": 'what the one that was asked has thrown',
  'if (!isStarved(error)) throw error;': 'what Node says of a file of ours that cannot be read',
  "if (error.code !== 'EEXIST') throw error;": 'what the kernel says of a folder of ours',
  "if (error.code !== 'ERR_ACCESS_DENIED') throw error;": 'what Node says of a descriptor of ours',
  "if (error.code !== 'ERR_RUST_CLUSTER_BUS_GONE') process.emitWarning(error);":
    'what lib/bus says to Socket.IO, which keeps it to itself',
  'if (reason !== left) throw reason;': 'what a function of the program has thrown',
  "if (error.code === 'ERR_RUST_CLUSTER_NAME_TAKEN') throw error;": 'what was made in the same file',
  "if (error.code !== 'ERR_RUST_CLUSTER_NO_CONTROL') throw error;":
    'what was made in lib/supervisor/control_socket.js',
  'throw Object.assign(error, { printed });': 'what was made in lib/supervisor/control_client.js',
  'throw failure;': 'the same, of the last folder',
  'if (!isKernelError(error)) throw error;': "what JSON.stringify says of the user's message",
  'else process.emitWarning(error);': 'what was made above it, in lib/cluster/primary.js',
};

test('whatever is thrown is made in lib/errors.js', () => {
  const raised = ['index.js', 'register.js', ...sources('lib', '.js')]
    .filter(file => file !== path.join('lib', 'errors.js') && !Object.hasOwn(ALONE, file))
    .flatMap(file =>
      read(file)
        .split('\n')
        .map(line => line.trim())
        .filter(line => !/^(\/\/|\*|\/\*)/.test(line) && /\bthrow\b|new \w*Error\(|emitWarning\(/.test(line)),
    );
  const own = raised.filter(line => !/(?:throw |emitWarning\()errors(?:\(\))?\.\w+\(/.test(line));
  assert.deepEqual(unique(own), Object.keys(EXCEPTIONS).sort());
});

test("the codes in lib/errors.js that are not ours are Node's", () => {
  const codes = unique(read('lib', 'errors.js').match(/(?<=')ERR_[A-Z_]+(?=')/g)).filter(
    code => !code.match(OWN),
  );
  assert.ok(codes.length > 5, `${codes}`);
  const known = process.binding('natives')['internal/errors'];
  for (const code of codes) assert.ok(known.includes(`E('${code}'`), code);
});

test("whatever the core reports has a code of its own, or is the kernel's", () => {
  const source = read('src', 'os', 'error.rs');
  const variants = [...source.matchAll(/^ {4}([A-Z]\w+) \{$/gm)].map(([, name]) => name);
  const coded = [...source.matchAll(/Error::(\w+) \{ \.\. \} => "ERR_RUST_CLUSTER_\w+"/g)].map(
    ([, name]) => name,
  );
  assert.deepEqual(variants, ['Os', ...coded]);
  const thrown = sources('src', '.rs').filter(file =>
    /Thrown::new|napi::Error::(?!<)|Error::from_reason/.test(read(file)),
  );
  assert.deepEqual(thrown, [path.join('src', 'node', 'mod.rs')]);
});
