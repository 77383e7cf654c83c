'use strict';

// The same server under several supervisors, deployed, stopped and crashing: what docs/comparison.md says of them.
// PM2=FILE names the program of pm2, beside which pm2-runtime is; THRONG=FOLDER the folder in whose node_modules that is.
// RELOADS=N, ONLY=the rivals whose name begins so, MEASURE=the rows in whose name that is.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { freePort } = require('../../__test__/support/free-port');
const proc = require('../../__test__/support/proc');

const ROOT = path.join(__dirname, '..', '..');
const APP = path.join(__dirname, 'app.js');
const RELOADS = Number(process.env.RELOADS ?? 20);
const CLIENTS = 8;
/** How long a deployment, or an end, may take, in milliseconds. */
const PATIENCE = 60_000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'comparison-'));

/** A server under a supervisor: its first process, and how a new release of it is deployed. */
class Supervised {
  #release;
  #env;

  /** @param {{ command: (here: object) => string[], deploy?: (here: object) => string[], env?: object }} rival */
  constructor(rival, port, release = 'good') {
    const here = fs.mkdtempSync(path.join(folder, 'server-'));
    this.rival = rival;
    this.port = port;
    this.here = { name: path.basename(here), folder: here };
    this.#release = path.join(here, 'release');
    this.release(release);
    this.#env = {
      ...process.env,
      PORT: port,
      RELEASE: this.#release,
      PM2_HOME: here,
      PM2_DISABLE_VERSION_CHECK: 'true',
      ...rival.env,
    };
    this.#start();
  }

  #start() {
    const [file, ...args] = this.rival.command(this.here);
    this.process = spawn(file, args, { env: this.#env, cwd: ROOT, stdio: 'ignore', detached: true });
    this.end = once(this.process, 'exit');
  }

  get pid() {
    return this.process.pid;
  }

  /** What the server is from its next start on. */
  release(text) {
    fs.writeFileSync(this.#release, text);
  }

  /** Deploys the release that is there. Where there is no way to, the server is stopped and started. */
  async deploy() {
    if (!this.rival.deploy) {
      this.process.kill('SIGTERM');
      await this.end;
      this.#start();
      return 'restarted';
    }
    const [file, ...args] = this.rival.deploy(this.here);
    const command = spawn(file, args, { env: this.#env, cwd: ROOT, stdio: 'ignore' });
    const timer = setTimeout(() => command.kill('SIGKILL'), PATIENCE);
    const [code, signal] = await once(command, 'exit');
    clearTimeout(timer);
    return signal ?? code;
  }

  /** All processes of it. */
  tree() {
    const all = [this.pid];
    for (const pid of all) all.push(...proc.children(pid));
    return all;
  }

  async stop() {
    for (const pid of this.tree().reverse()) proc.signal(pid, 'SIGKILL');
    if (this.process.exitCode === null && this.process.signalCode === null) await this.end;
  }
}

const command = path.join(ROOT, 'bin', 'rust-cluster.js');

function rivals() {
  const { PM2, THRONG } = process.env;
  const beside = name => fs.realpathSync(path.join(path.dirname(PM2), name));
  const pm2 = PM2 && {
    command: () => [process.execPath, beside('pm2-runtime'), 'start', APP, '-i', '2'],
    deploy: () => [process.execPath, beside('pm2'), 'reload', 'all'],
  };
  const throng = THRONG && { command: () => [process.execPath, path.join(__dirname, 'throng.js')] };
  const own = rival => rival && { ...rival, env: { OWN_SHUTDOWN: '1' } };
  const all = {
    'rust-cluster': {
      command: ({ name }) => [process.execPath, command, '--workers', '2', '--name', name, APP],
      deploy: ({ name }) => [process.execPath, command, 'reload', '--name', name],
    },
    'pm2-runtime': pm2,
    'pm2-runtime, the program ends itself on SIGINT': own(pm2),
    throng: throng,
    'throng, the program ends itself on SIGTERM': own(throng),
  };
  const only = process.env.ONLY;
  return Object.entries(all).filter(([name, rival]) => rival && (!only || name.startsWith(only)));
}

/** One request: the worker that has answered it. */
function ask(port, { agent = false, path: place = '/' } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', path: place, agent }, async response => {
      try {
        let body = '';
        for await (const chunk of response) body += chunk;
        resolve(Number(body));
      } catch (error) {
        reject(error);
      }
    });
    request.on('error', reject);
    request.setTimeout(10_000, () => request.destroy(Object.assign(new Error('hangs'), { code: 'hangs' })));
  });
}

/** Waits until the server serves: how long that took, in milliseconds. */
async function serving(port) {
  const start = performance.now();
  for (;;) {
    try {
      await ask(port);
      return performance.now() - start;
    } catch {
      if (performance.now() - start > PATIENCE) throw new Error('it does not serve');
    }
  }
}

/** The workers, once two have answered. */
async function workers(port) {
  const pids = new Set();
  while (pids.size < 2) pids.add(await ask(port));
  return pids;
}

/** Clients that ask one request after the other, each on its connection, or each time on a new one. */
class Load {
  counts = { asked: 0, lost: 0 };
  errors = {};
  #running = true;
  #clients;

  constructor(port, kept) {
    this.#clients = Array.from({ length: CLIENTS }, () => this.#client(port, kept));
  }

  async #client(port, kept) {
    const agent = kept && new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (this.#running) {
      this.counts.asked++;
      await ask(port, { agent }).catch(async ({ code }) => {
        this.counts.lost++;
        this.errors[code] = (this.errors[code] ?? 0) + 1;
        // Nobody asks a server that is not there a thousand times a second.
        await sleep(10);
      });
    }
    if (agent) agent.destroy();
  }

  async stop() {
    this.#running = false;
    await Promise.all(this.#clients);
    const errors = Object.entries(this.errors).map(([code, count]) => `${count} ${code}`);
    return `${this.counts.lost} of ${this.counts.asked}${errors.length > 0 ? ` (${errors.join(', ')})` : ''}`;
  }
}

const round = (value, digits = 0) => value.toFixed(digits);

const MEASURES = {
  'from its start to its first answer, median of five': async rival => {
    const times = [];
    for (let i = 0; i < 5; i++) {
      const server = new Supervised(rival, await freePort());
      times.push(await serving(server.port));
      await server.stop();
    }
    return `${round(times.sort((a, b) => a - b)[2])} ms`;
  },

  'memory (PSS) of all that is no worker': async rival => {
    const server = new Supervised(rival, await freePort());
    await serving(server.port);
    const pids = await workers(server.port);
    await sleep(2000);
    const others = server.tree().filter(pid => !pids.has(pid));
    const bytes = others.reduce((sum, pid) => sum + proc.memory(pid).pss, 0);
    await server.stop();
    return `${round(bytes / 2 ** 20)} MiB`;
  },

  [`requests lost over ${RELOADS} reloads, new connections`]: rival => reloads(rival, false),
  [`requests lost over ${RELOADS} reloads, kept-alive connections`]: rival => reloads(rival, true),

  'a broken release is deployed': async rival => {
    const server = new Supervised(rival, await freePort());
    await serving(server.port);
    await workers(server.port);
    server.release('broken');
    const code = await server.deploy();
    const load = new Load(server.port, false);
    await sleep(2000);
    const lost = await load.stop();
    await server.stop();
    return `exit code ${code}; lost in the 2 s after it: ${lost}`;
  },

  'SIGTERM with ten requests under way': async rival => {
    const server = new Supervised(rival, await freePort());
    await serving(server.port);
    await workers(server.port);
    const requests = Array.from({ length: 10 }, () => ask(server.port, { path: '/slow' }));
    const answered = requests.map(request =>
      request.then(
        () => true,
        () => false,
      ),
    );
    await sleep(300);
    const start = performance.now();
    server.process.kill('SIGTERM');
    const served = (await Promise.all(answered)).filter(Boolean).length;
    const [code, signal] = await Promise.race([server.end, sleep(PATIENCE, ['it did not end'])]);
    const seconds = round((performance.now() - start) / 1000, 1);
    await server.stop();
    return `${served} answered; ended after ${seconds} s with ${signal ?? code}`;
  },

  'CPU in ten seconds in which every worker ends 0.1 s after its start': async rival => {
    const server = new Supervised(rival, await freePort());
    await serving(server.port);
    const pids = await workers(server.port);
    server.release('crashes');
    const before = ticks(server.pid);
    for (const pid of pids) proc.signal(pid, 'SIGKILL');
    await sleep(10_000);
    const used = (ticks(server.pid) - before) / 100;
    const ended = server.process.exitCode ?? server.process.signalCode;
    await server.stop();
    return ended === null ? `${round(used, 1)} s` : `it had ended with ${ended}`;
  },
};

async function reloads(rival, kept) {
  const server = new Supervised(rival, await freePort());
  await serving(server.port);
  await workers(server.port);
  const load = new Load(server.port, kept);
  const codes = new Set();
  for (let i = 0; i < RELOADS; i++) {
    codes.add(await server.deploy());
    if (!rival.deploy) await serving(server.port);
    await sleep(200);
  }
  const lost = await load.stop();
  await server.stop();
  return `${lost}${rival.deploy ? '' : ', restarted: it has no reload'}${codes.has(0) || !rival.deploy ? '' : `, exit codes ${[...codes]}`}`;
}

/** Processor time of a process and of the children that it has seen end, in ticks. */
function ticks(pid) {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

async function main() {
  const all = rivals();
  console.log(
    `Node ${process.version}, two workers, ${CLIENTS} clients, ${os.availableParallelism()} CPUs\n`,
  );
  console.log(`| | ${all.map(([name]) => name).join(' | ')} |\n|${'---|'.repeat(1 + all.length)}`);
  for (const [what, measure] of Object.entries(MEASURES)) {
    if (process.env.MEASURE && !what.includes(process.env.MEASURE)) continue;
    const cells = [];
    for (const [, rival] of all) cells.push(await measure(rival).catch(error => `failed: ${error.message}`));
    console.log(`| ${what} | ${cells.join(' | ')} |`);
  }
  fs.rmSync(folder, { recursive: true, force: true });
}

main();
