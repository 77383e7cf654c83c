'use strict';

// The load: the fastest tool that is installed, run for a time, watched while it runs.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const { availableParallelism } = require('node:os');

const body = require('../body');
const proc = require('../../__test__/support/proc');
const leftovers = require('../../__test__/support/leftovers');

const tools = [require('./wrk'), require('./oha'), require('./autocannon')];

/** From which share of its CPUs on a generator is at its limit, and a CPU of the machine is idle. */
const BUSY = 0.9;
const IDLE = 0.1;

/** A tool needs a CPU of its own for every three or four that serve. */
const threads = Math.min(8, Math.max(1, Math.floor(availableParallelism() / 4)));

let chosen;

/** The tool that makes the load, and its version. */
function generator() {
  for (const tool of chosen ? [] : tools) {
    const { stdout, stderr, error } = spawnSync(tool.name, tool.version.args, {
      encoding: 'utf8',
      timeout: 5000,
    });
    const version = error ? undefined : `${stdout}${stderr}`.match(tool.version.pattern)?.[1];
    if (version) {
      chosen = { tool, name: tool.name, version };
      break;
    }
  }
  if (!chosen)
    throw new Error(`no load generator found: install ${tools.map(({ name }) => name).join(' or ')}`);
  return chosen;
}

/**
 * @typedef {object} Load
 * @property {number} port
 * @property {number} clients
 * @property {number} seconds
 * @property {boolean} keepAlive
 */

/**
 * Puts load on a server. Every answer is compared with what it has to be.
 * @param {Load} load
 * @param {number[]} servers the processes that serve
 * @returns {Promise<{ requests: number, seconds: number, p50: number, p99: number, limit: string | undefined }>}
 *   p50 and p99 in ms; `limit`: why these figures say nothing about the servers
 */
async function run(load, servers) {
  const { tool } = generator();
  const url = `http://127.0.0.1:${load.port}/`;
  const clients = Math.max(load.clients, 1);
  const settings = { ...load, clients, url, body, threads: Math.min(threads, clients) };
  const [file, ...args] = tool.command(settings);
  const before = servers.map(proc.cpu);
  const idleBefore = proc.idle();
  const begin = performance.now();
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  leftovers.track(child.pid);
  // A process that has ended has no CPU time that could be read.
  let used = 0;
  const watch = setInterval(() => {
    used = Math.max(used, proc.cpu(child.pid));
  }, 50);
  // It ends by itself; a server that hangs must not keep it.
  const guard = setTimeout(() => child.kill('SIGKILL'), load.seconds * 1000 + 20_000);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', data => (output[name] += data));
  const [code, signal] = await once(child, 'close');
  clearInterval(watch);
  clearTimeout(guard);
  leftovers.forget(child.pid);
  const elapsed = (performance.now() - begin) * 1000;
  if (code !== 0) throw new Error(`${tool.name} ended with ${signal ?? code}: ${output.stderr}`);

  const result = tool.parse(output.stdout, settings);
  if (result.wrong > 0 || result.failed > 0) {
    throw new Error(`${result.wrong} wrong answers, ${result.failed} failed requests of ${result.requests}`);
  }
  const share = used / elapsed / settings.threads;
  const busiest = Math.max(...servers.map((pid, i) => (proc.cpu(pid) - before[i]) / elapsed));
  const idle = (proc.idle() - idleBefore) / elapsed;
  return { ...result, limit: limitOf(tool.name, share, busiest, idle) };
}

/** A generator that has no CPU time left while the servers and the machine have is what was measured. */
function limitOf(name, share, busiest, idle) {
  if (share < BUSY || busiest > BUSY || idle < IDLE) return undefined;
  const percent = value => `${Math.round(value * 100)} %`;
  return `${name} used ${percent(share)} of its CPUs, the busiest server ${percent(busiest)}, ${idle.toFixed(1)} CPUs idle`;
}

module.exports = { generator, run };
