'use strict';

// What the supervisor's command and its control socket say, each in one way.

const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const lib = name => require(`../../../lib/supervisor/${name}`);
const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
process.on('exit', () => fs.rmSync(runtime, { recursive: true }));
process.env.XDG_RUNTIME_DIR = runtime;

const BIN = require.resolve('../../../bin/rust-cluster');

/** The first error or warning that a command prints. */
function said(args, environment) {
  const { stderr } = spawnSync(process.execPath, args, {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  const asText = stderr.match(/^rust-cluster: (?<message>.*) \[(?<code>\w+)\]$/m)?.groups;
  const asJson = stderr.match(/^\{.*"code":"ERR_RUST_CLUSTER.*$/m)?.[0];
  return asText ?? JSON.parse(asJson);
}

const WAYS = {
  UNKNOWN_OPTION: () => lib('command_line').parse(['--drian', '5s', 'app.js']),
  BAD_OPTION: () => lib('command_line').parse(['--drain', '-5', 'app.js']),
  BAD_CONFIGURATION: () => lib('configuration').load({ given: {}, own: { config: 'missing.json' } }, runtime),
  BAD_PROGRAM: () => lib('configuration').checkProgram(path.join(runtime, 'missing.js')),
  RELOAD_FAILED: () => failing(supervisor => supervisor.reload()),
  SCALE_FAILED: () => failing(supervisor => supervisor.scale(2)),
  async NOT_SUPERVISING() {
    const supervisor = require('../../../supervisor').supervise({ exec: __filename });
    await supervisor.stop();
    await supervisor.reload();
  },
  NAME_TAKEN() {
    const { open } = lib('control_socket');
    open('shop');
    open('shop');
  },
  UNDER_NPM() {
    const program = path.join(runtime, 'app.js');
    fs.writeFileSync(program, 'process.exit(1)');
    throw said([BIN, program], { npm_execpath: '/npm', RUST_CLUSTER_LOG_FORMAT: 'json' });
  },
  NO_SUPERVISOR() {
    const elsewhere = "Object.defineProperty(process, 'platform', { value: 'sunos' })";
    throw said([
      '-e',
      `${elsewhere}; process.argv.splice(1, 0, ''); require(${JSON.stringify(BIN)})`,
      'app.js',
    ]);
  },
  NOT_RUNNING: () => lib('control_client').ask('shop', { command: 'ps' }),
  NO_CONTROL() {
    delete process.env.XDG_RUNTIME_DIR;
    process.env.TMPDIR = path.join(runtime, 'missing');
    lib('control_socket').open('shop');
  },
  BAD_REQUEST: () => lib('commands').act({}, { command: 'rm' }),
  async OTHER_USER() {
    lib('control_socket')
      .open('shop')
      .serve(async () => {});
    process.geteuid = () => process.getuid() + 1;
    await lib('control_client').ask('shop', { command: 'ps' });
  },
  async CONTROL_LOST() {
    fs.mkdirSync(path.join(runtime, 'rust-cluster'));
    const server = net.createServer(socket => socket.end());
    await new Promise(resolve => server.listen(path.join(runtime, 'rust-cluster', 'shop.sock'), resolve));
    await lib('control_client').ask('shop', { command: 'reload' });
  },
  async UNANNOUNCED() {
    fs.mkdirSync(path.join(runtime, 'rust-cluster', 'shop.telemetry'), { recursive: true });
    fs.chmodSync(path.join(runtime, 'rust-cluster'), 0o700);
    const warned = once(process, 'warning');
    lib('control_socket').open('shop').announce({ host: '127.0.0.1', port: 9464 });
    throw (await warned)[0];
  },
  NO_STATUS() {
    throw said([BIN, 'top', 'shop']);
  },
};

/** With a program whose first worker is the only one that starts. */
async function failing(act) {
  const program = path.join(runtime, 'program.js');
  fs.writeFileSync(program, "require('node:net').createServer().listen(0);");
  const supervisor = require('../../../supervisor').supervise({ exec: program, workers: 1, execArgv: [] });
  await new Promise(resolve => {
    supervisor.on('report', ({ event }) => event === 'all-ready' && resolve());
  });
  fs.writeFileSync(program, 'process.exit(1);');
  await act(supervisor);
}

async function main() {
  try {
    await WAYS[process.argv[2]]();
  } catch ({ code, message }) {
    console.log(`${code}\n${message}`);
  }
  process.exit();
}

main();
