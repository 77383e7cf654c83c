'use strict';

// Two machines as a network sees them: each is a network namespace, and a cable is between them. A namespace has no name that
// another test could have, and lives as long as a process in it: the kernel removes it, and the cable, however we end.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');

const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** Their end of the cable, in each namespace. */
const CABLE = 'cable';

/** @returns {string | undefined} why there can be none */
function missing() {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid() !== 0) return 'only root makes network namespaces';
  const trial = ['--net', 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'other'];
  const { error, stderr, status } = spawnSync('unshare', trial, { env, encoding: 'utf8' });
  if (error) return `unshare: ${error.code}`;
  return status === 0 ? undefined : stderr.trim();
}

class Machine {
  #holder;

  constructor(host) {
    this.host = host;
    const hold = ['--net', 'sh', '-c', 'ip link set lo up && echo ready && exec cat'];
    this.#holder = spawn('unshare', hold, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  }

  get pid() {
    return this.#holder.pid;
  }

  /** Words before a command that runs there. */
  get within() {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`];
  }

  async start() {
    const [word] = await once(this.#holder.stdout, 'data');
    assert.equal(`${word}`, 'ready\n');
  }

  ip(...words) {
    const [file, ...args] = [...this.within, 'ip', ...words.map(String)];
    const { status, stderr } = spawnSync(file, args, { env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }

  async end() {
    const exit = once(this.#holder, 'exit');
    this.#holder.stdin.end();
    await exit;
  }
}

/** @param {import('node:test').TestContext} t at whose end they are gone */
async function twoMachines(t) {
  const machines = ['10.0.0.1', '10.0.0.2'].map(host => new Machine(host));
  const [one, other] = machines;
  for (const machine of machines) {
    t.after(() => machine.end());
    await machine.start();
  }
  one.ip('link', 'add', CABLE, 'type', 'veth', 'peer', 'name', CABLE, 'netns', other.pid);
  for (const machine of machines) {
    machine.ip('address', 'add', `${machine.host}/24`, 'dev', CABLE);
    machine.ip('link', 'set', CABLE, 'up');
  }
  return {
    machines,
    /** Nobody is told: what is sent is lost. */
    cut: () => one.ip('link', 'set', CABLE, 'down'),
    mend: () => one.ip('link', 'set', CABLE, 'up'),
  };
}

module.exports = { missing, twoMachines };
